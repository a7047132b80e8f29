# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Adds the distillation losses of a batch to the student's own losses."""
from functools import partial
from typing import Any, Dict, List, Optional, Sequence, Set, Union

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from .auto_weight import auto_weights, weighted_task
from .batch import ARGUMENTS, refuse_branches
from .gradient_share import DrownedTaskWatch, Share, gradient_shares
from .input_mapping import InputMapping
from .knowledge import Pair
from .misfits import (calls_needed, pairing_named, refuse_no_number,
                      refuse_other_size, refuse_unfit)
from .module_share import ModuleShareWeight
from .recorder import Recorder
from .schedules import Schedule, refuse_no_strength
from .step_looks import StepLooks
from .teacher import FrozenTeacher
from .teacher_outputs import TeacherOutputs
from .terms import PREFIX, Term, refuse_misfit

__all__ = ['Distiller', 'task_losses']


class Distiller:
    """Adds distillation losses to the student's own, batch by batch.

    It has two hooks on the student's forward. The first opens the recorder of
    the student's module outputs. The second runs the teacher on the same
    batch, and adds the distillation losses to the dict that the forward
    returns.

    Args:
        student (nn.Module): The inner model, without a DDP wrapper.
        teacher (FrozenTeacher): The teacher, on the student's device.
        terms (Sequence[Term]): What is compared and how.
        schedule (Schedule): The strength of all of it.
        task_weight (float): Factor of the student's own losses at full
            strength. Defaults to 1.0.
        every (int): Only every so many updates of the student's weights
            distill, at so many times the weight. Defaults to 1.

    Raises:
        ValueError: If student and teacher do not fit.

    Examples:
        >>> distiller = Distiller(student, teacher, build_terms(cfg), schedule)
        >>> distiller.bind(max_iters, iters_per_epoch)
        >>> distiller.attach()
        >>> distiller.step(0)
        >>> losses = student(inputs, data_samples, mode='loss')
    """

    def __init__(self,
                 student: nn.Module,
                 teacher: FrozenTeacher,
                 terms: Sequence[Term],
                 schedule: Schedule,
                 task_weight: float = 1.0,
                 every: int = 1) -> None:
        refuse_no_strength('schedule', schedule)
        self.student, self.teacher = student, teacher
        self.terms = list(terms)
        self.schedule = schedule
        self.task_weight = task_weight
        self.every = every
        self.strength = 0.
        #: Key of an entry -> its strength in this iteration.
        self.strengths: Dict[str, float] = {}
        self.temperatures: Dict[str, Union[float, Tensor]] = {}
        self.iteration = 0
        #: Whether the student's forward in loss mode has been seen.
        self.is_reached = False
        #: Whether the ``loss`` in the log is the sum of all losses. It is not
        #: if the student has a loss of that name, as mmpretrain's heads do.
        self.loss_is_a_sum = False
        #: Whether the teacher's forward is checked to its end, once for each
        #: new value of :attr:`calls_needed`.
        self.inspects = False
        #: Looks at steps for stop rules that ask for it, see
        #: :class:`~.step_looks.StepLooks`.
        self.looks: Optional[StepLooks] = None
        # Those of the entries that have distilled a batch.
        self._begun: Set[str] = set()
        self._newest: Set[str] = set()
        self._drowned_task = DrownedTaskWatch()
        #: Keys of the entries that act, and number of calls of each of the
        #: student's modules -> number of calls of each of the teacher's
        #: modules that are then needed.
        self.calls_needed: Dict[tuple, Dict[str, int]] = {}
        refuse_branches(student)
        for term in self.terms:
            refuse_other_size(term.knowledge, teacher)
            with pairing_named(term):
                term.knowledge.check(student, teacher.model)
                term.knowledge.bind(student, teacher.model)
                refuse_misfit(term)
            if isinstance(term.auto_weight, ModuleShareWeight):
                term.auto_weight.check(student)
        self._mapping = InputMapping(student.data_preprocessor,
                                     teacher.model.data_preprocessor,
                                     teacher.pipelines)
        self._recorder = Recorder(student, _student_modules(self.terms),
                                  'student')
        self._teacher_recorder = Recorder(teacher.model,
                                          _teacher_modules(self.terms),
                                          'teacher')
        self._let_act([])
        self._handles: List[Any] = []
        self._iters_per_update = 1

    def bind(self,
             max_iters: int,
             iters_per_epoch: float,
             iters_per_update: int = 1) -> None:
        """Tell the schedules how long the run is.

        Args:
            max_iters (int): Number of iterations of the run.
            iters_per_epoch (float): Number of iterations of an epoch.
            iters_per_update (int): Number of iterations whose gradients are
                accumulated. Defaults to 1.

        Raises:
            ValueError: If a temperature does not stay above 0.
        """
        self._iters_per_update = iters_per_update
        self.schedule.bind(max_iters, iters_per_epoch)
        last = min(max_iters, self.schedule.zero_from() or max_iters) - 1
        for term in self.terms:
            if term.schedule is not None:
                term.schedule.bind(max_iters, iters_per_epoch)
            hottest = getattr(term.loss, 'temperature', None)
            if term.temperature is not None:
                term.temperature.bind(max_iters, iters_per_epoch)
                first_and_last = [term.temperature.value(i) for i in (0, last)]
                if min(first_and_last) <= 0:
                    raise ValueError(
                        f'the temperature of {term.key} should stay above 0, '
                        f'but goes from {first_and_last[0]:g} to '
                        f'{first_and_last[1]:g} while the run distills')
                hottest = max(first_and_last)
            if hottest is not None:
                term.knowledge.check_temperature(hottest)

    def attach(self) -> None:
        """Hook the student's forward."""
        # A compiled model calls them around its graphs.
        before, after = map(torch.compiler.disable,
                            (self._before_forward, self._after_forward))
        self._handles = [
            self.student.register_forward_pre_hook(before, with_kwargs=True),
            self.student.register_forward_hook(after, with_kwargs=True)
        ]

    def watch_gradients(self, optim_wrapper: OptimWrapper) -> None:
        """Let weights see the gradients of each update, if some follow them.

        Args:
            optim_wrapper (OptimWrapper): The student's.
        """
        if any(
                isinstance(term.auto_weight, ModuleShareWeight)
                for term in self.terms):
            self._handles.append(
                optim_wrapper.optimizer.register_step_pre_hook(
                    lambda *_: self._see_gradients()))

    def _see_gradients(self) -> None:
        for term in self._acting if self._distills else ():
            if isinstance(term.auto_weight, ModuleShareWeight):
                term.auto_weight.see(self.student)

    def step(self, iteration: int, strength: Optional[float] = None) -> None:
        """Set strength and temperatures; call it before the forward.

        Args:
            iteration (int): Counted from 0.
            strength (float, optional): Replaces the schedule's strength.
        """
        self.iteration = iteration
        self.strength = self.schedule.value(iteration) if strength is None \
            else strength
        self.strengths = {
            term.key: self.strength * term.share(iteration)
            for term in self.terms
        }
        acting = [term for term in self.terms if self.strengths[term.key] > 0]
        if acting != self._acting:
            self._let_act(acting)
        self.temperatures = {
            term.key: term.temperature.value(iteration)
            for term in self.terms if term.temperature is not None
        }
        if not self._distills:
            # A forward that was interrupted has left its calls here.
            self._recorder.forget()

    def has_turn(self, iteration: int) -> bool:
        """Whether an iteration is of an update that distills.

        It follows from the iteration alone, so a resumed run takes the turns
        of the unbroken one.
        """
        return iteration // self._iters_per_update % self.every == 0

    @property
    def _distills(self) -> bool:
        return bool(self._acting) and self.has_turn(self.iteration)

    def _let_act(self, acting: List[Term]) -> None:
        """Set which entries have a strength above 0, and what these need."""
        self._acting = acting
        self._student_needs = _student_modules(acting)
        #: Called with the student's inputs and data samples, gives the
        #: :class:`TeacherOutputs` of that batch.
        self.teacher_outputs = partial(
            TeacherOutputs,
            self.teacher,
            self._teacher_recorder,
            self._mapping,
            training_form=[
                term.knowledge.teacher_module for term in acting
                if term.knowledge.training_form
            ],
            names=_teacher_modules(acting))
        newest = {term.key for term in acting} - self._begun
        if newest:  # their gradients are looked at
            self._newest, self._drowned_task = newest, DrownedTaskWatch()

    @property
    def schedules(self) -> List[Schedule]:
        """Those of the strength, of the whole and of the entries."""
        own = [term.schedule for term in self.terms]
        return [self.schedule, *(s for s in own if s is not None)]

    def end(self, key: str) -> None:
        """End an entry for good, with all that it alone has needed.

        Args:
            key (str): Key of the entry; one that has ended is ignored.
        """
        self.terms = [term for term in self.terms if term.key != key]
        self._let_act([term for term in self._acting if term.key != key])
        self.strengths.pop(key, None)
        self.temperatures.pop(key, None)
        self._recorder.keep(_student_modules(self.terms))
        self._teacher_recorder.keep(_teacher_modules(self.terms))

    def _before_forward(self, module: nn.Module, args: tuple,
                        kwargs: dict) -> None:
        mode = dict(zip(ARGUMENTS, args), **kwargs).get('mode')
        if mode == 'loss' and module.training and self._distills:
            self._recorder.open(names=self._student_needs)

    def _after_forward(self, module: nn.Module, args: tuple, kwargs: dict,
                       output: Any) -> Optional[dict]:
        batch = dict(zip(ARGUMENTS, args), **kwargs)
        if batch.get('mode') != 'loss' or not module.training:
            return None
        self.is_reached, self.loss_is_a_sum = True, 'loss' not in output
        if self.strength <= 0:
            return None
        losses = self._losses(
            batch.get('inputs'), batch.get('data_samples'),
            task_losses(output)) if self._distills else self._zeros()
        if self.task_weight != 1:
            strength = max(self.strengths.values())
            output = {
                **output,
                **weighted_task(output, self.task_weight, strength)
            }
        return {**output, **losses}

    def _zeros(self) -> Dict[str, Tensor]:
        """The losses of entries that do not act in this iteration.

        With them, means over steps in the log are those of the whole.
        """
        zero = next(self.student.parameters()).new_zeros(())
        return {term.key: zero for term in self.terms}

    def _losses(self, inputs: Any, data_samples: Any,
                task_losses: Dict[str, Any]) -> Dict[str, Tensor]:
        """The distillation losses of a batch, each a 0-dim tensor."""
        recorded = self._recorder.close()
        acting = self._acting
        counts = (*(term.key for term in acting), *map(len, recorded.values()))
        until, whole = self.calls_needed.get(counts), False
        if until is None:
            until = calls_needed(acting, recorded)
            whole = self.inspects and \
                until not in self.calls_needed.values()
        outputs = self.teacher_outputs(inputs, data_samples, until, whole)
        losses: Dict[str, Tensor] = {}
        for term in acting:
            try:
                pairs = term.knowledge.pairs(recorded, outputs)
                if term.key not in self._begun:
                    refuse_unfit(term, pairs, self.teacher.name)
                if term.knowledge.adapters is not None:
                    pairs = term.knowledge.adapters.fit(
                        pairs, partial(self.compare, term))
                each = self.compare(term, pairs)
            except Exception:
                with pairing_named(term):
                    raise
            if term.key not in self._begun:
                refuse_no_number(term, each)
            losses[term.key] = sum(each)
            if term.temperature is not None:
                term.temperature.update(self.iteration, pairs)
        self.calls_needed[counts] = until
        self._begun.update(losses)
        weights: Dict[str, Tensor] = {}
        if any(term.auto_weight is not None for term in acting):
            weights = auto_weights(acting,
                                   self.student.parse_losses(task_losses)[0],
                                   losses)
        if self._drowned_task.is_due:
            self._look_for_drowning(
                task_losses, {
                    key: losses[key] * weights.get(key, 1.)
                    for key in losses if key in self._newest
                })
        weighted = {
            key:
            loss * (self.strengths[key] * self.every * weights.get(key, 1.))
            for key, loss in losses.items()
        }
        if self.looks is not None and self.looks.are_due(self.iteration):
            self.looks.look(self, task_losses, losses, weighted, recorded)
        return weighted if len(acting) == len(self.terms) else {
            **self._zeros(),
            **weighted
        }

    def compare(self, term: Term, pairs: Sequence[Pair]) -> List[Tensor]:
        """The loss of each pair of an entry, 0-dim, at full strength."""
        temperature = self.temperatures.get(term.key)
        # A loss that a user has written may have no such argument.
        with_target = getattr(term.loss, 'needs_target', False)
        return [
            term.loss(
                pair.student,
                pair.teacher,
                weight=pair.weight,
                avg_factor=pair.avg_factor,
                temperature=temperature,
                **(dict(target=pair.target) if with_target else {}))
            for pair in pairs
        ]

    def _look_for_drowning(self, task_losses: Dict[str, Any],
                           losses: Dict[str, Tensor]) -> None:
        """Warn in the first batches of a loss that drowns the task's."""
        self._drowned_task.see(
            self.shares(task_losses, losses), {
                term.key: getattr(term.loss, 'loss_weight', None)
                for term in self.terms if term.auto_weight is None
            })

    def shares(self, task_losses: Dict[str, Any],
               losses: Dict[str, Tensor]) -> Dict[str, Share]:
        """Compare each loss, at full strength, with the task's loss.

        Args:
            task_losses (dict): The student's own losses.
            losses (dict[str, Tensor]): The distillation losses, 0-dim.

        Returns:
            dict[str, Share]: Name of a distillation loss -> the size of its
            gradient relative to the task's.
        """
        task_loss = self.student.parse_losses(task_losses)[0]
        return gradient_shares(self.student, task_loss * self.task_weight,
                               losses)

    def scalars(self) -> Dict[str, Union[float, Tensor]]:
        """Numbers for the log of a step.

        Returns:
            dict[str, float or Tensor]: ``on`` (always 1), ``strength``,
            ``strength_<name>`` of each entry with a schedule of its own,
            ``temperature_<name>`` for each temperature, and ``teacher_ms``,
            the milliseconds of the teacher's latest forward, once known.
        """
        shown = {
            f'temperature_{term.name}': self.temperatures[term.key]
            for term in self.terms if term.temperature is not None
        }
        shown.update((f'strength_{term.name}', self.strengths[term.key])
                     for term in self.terms if term.schedule is not None)
        shown.update(on=1., strength=self.strength)
        teacher_ms = self.teacher.stopwatch.ms
        if teacher_ms is not None:
            shown['teacher_ms'] = teacher_ms
        return shown

    def state_dict(self) -> dict:
        """What automatic weights, temperatures and adapters have learned."""
        states = {term.key: term.state_dict() for term in self.terms}
        return {key: state for key, state in states.items() if state}

    def load_state_dict(self, state: dict) -> None:
        """Restore what :meth:`state_dict` has given."""
        for term in self.terms:
            term.load_state_dict(state.get(term.key, {}))

    def remove(self) -> None:
        """Take every hook off both models."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._recorder.remove()
        self._teacher_recorder.remove()
        self._mapping.remove()


def task_losses(losses: Dict[str, Any]) -> Dict[str, Any]:
    """The student's own losses, to which other teachers may have added."""
    return {
        key: loss
        for key, loss in losses.items() if not key.startswith(PREFIX)
    }


def _student_modules(terms: Sequence[Term]) -> List[str]:
    return [n for term in terms for n in term.knowledge.student_modules]


def _teacher_modules(terms: Sequence[Term]) -> List[str]:
    return [n for term in terms for n in term.knowledge.teacher_modules]
