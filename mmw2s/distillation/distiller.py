# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Joins what is transferred, how it is compared and how strongly."""
from functools import partial
from typing import (Any, ContextManager, Dict, List, NamedTuple, Optional,
                    Sequence, Union)

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from .batch import images_of, refuse_branches
from .capture import Capture
from .failures import retold
from .gradient_share import DrownedTaskWatch, Share, gradient_shares
from .input_mapping import InputMapping
from .knowledge import Pair
from .loss_looks import LossLooks
from .schedules import Schedule
from .teacher import FrozenTeacher
from .teacher_view import TeacherView
from .terms import Term, refuse_misfit

__all__ = ['Distiller', 'Measured']


class Measured(NamedTuple):
    """What one pair came to, for the dry run."""
    key: str
    pair: Pair
    value: float


class Distiller:
    """Adds distillation losses to the student's own, batch by batch.

    Args:
        student (nn.Module): The inner model, without a DDP wrapper.
        teacher (FrozenTeacher): The teacher, on the student's device.
        terms (Sequence[Term]): What is compared and how.
        schedule (Schedule): The strength of all of it.
        task_weight (float): What the student's own losses are multiplied by
            at full strength. Defaults to 1.0.
    """

    def __init__(self,
                 student: nn.Module,
                 teacher: FrozenTeacher,
                 terms: Sequence[Term],
                 schedule: Schedule,
                 task_weight: float = 1.0) -> None:
        if getattr(schedule, 'needs_target', False):
            raise ValueError(
                f'schedule={type(schedule).__name__} is no strength: give it '
                'to an entry of distill as its temperature')
        self.teacher = teacher
        self.terms = list(terms)
        self.schedule = schedule
        self.task_weight = task_weight
        self.strength = 0.
        self.temperatures: Dict[str, Union[float, Tensor]] = {}
        self._iteration = 0
        self.is_first_batch = True
        self.drowned_task = DrownedTaskWatch()
        #: Calls of the teacher's modules that the latest batch needed, with
        #: the last of which its forward ended.
        self.until: Dict[str, int] = {}
        #: Whether to look at the teacher's forward to its end, in the first
        #: batch and where the student's calls are new.
        self.inspects = False
        self._inspected: List[Dict[str, int]] = []
        # The student sums its losses as its own train_step does.
        self._model, self._parse_losses = student, student.parse_losses
        self._looks = LossLooks(student)
        refuse_branches(student)
        for term in self.terms:
            with _pairing_named(term):
                term.knowledge.check(student, teacher.model)
                refuse_misfit(term)
        self._mapping = InputMapping(student.data_preprocessor,
                                     teacher.model.data_preprocessor,
                                     teacher.pipelines)
        knowledges = [term.knowledge for term in self.terms]
        self._student = Capture(student, (name for k in knowledges
                                          for name in k.student_modules),
                                'student')
        self._teacher = Capture(teacher.model, (name for k in knowledges
                                                for name in k.teacher_modules),
                                'teacher')
        self._training_form = [
            t.knowledge.teacher_module for t in self.terms
            if t.knowledge.training_form
        ]

    def bind(self, max_iters: int, iters_per_epoch: float) -> None:
        """Tell the schedules how long the run is."""
        self.schedule.bind(max_iters, iters_per_epoch)
        last = min(max_iters, self.schedule.zero_from() or max_iters) - 1
        for term in self.terms:
            hottest = getattr(term.loss, 'temperature', None)
            if term.temperature is not None:
                term.temperature.bind(max_iters, iters_per_epoch)
                first_and_last = [term.temperature.value(i) for i in (0, last)]
                if min(first_and_last) <= 0:
                    raise ValueError(
                        f'the temperature of {term.key} should stay above 0, '
                        f'but goes from {first_and_last[0]:g} to '
                        f'{first_and_last[1]:g} while the run distils')
                hottest = max(first_and_last)
            if hottest is not None:
                term.knowledge.check_temperature(hottest)

    def set_progress(self, iteration: int) -> None:
        """Take strength and temperatures of the given iteration."""
        self.set_strength(self.schedule.value(iteration), iteration)

    def set_strength(self, strength: float, iteration: int) -> None:
        """Take a given strength and the temperatures of the iteration."""
        self.strength = strength
        self._iteration = iteration
        self._looks.set_progress(iteration)
        self.temperatures = {
            term.key: term.temperature.value(iteration)
            for term in self.terms if term.temperature is not None
        }
        # Whatever an interrupted forward left behind goes here.
        self._student.forget()
        if self.strength > 0:
            self._student.open()

    def view(self,
             inputs: Tensor,
             data_samples: Any,
             until: Optional[Dict[str, int]] = None,
             whole: bool = False) -> TeacherView:
        """The teacher on a batch that was preprocessed for the student."""
        return TeacherView(self.teacher, self._teacher, self._mapping,
                           images_of(inputs), data_samples, until or {},
                           self._training_form, whole)

    def losses(self,
               inputs: Tensor,
               data_samples: Any,
               task_losses: Dict[str, Any],
               measured: Optional[List[Measured]] = None) -> Dict[str, Tensor]:
        """The distillation losses of one batch.

        Called right after the student's forward, whose outputs the capture
        holds.

        Args:
            inputs (Tensor): The student's preprocessed batch (B, C, H, W).
            data_samples (list): The batch's data samples.
            task_losses (dict): The student's own losses.
            measured (list[Measured], optional): Filled pair by pair, for the
                dry run. Defaults to None.

        Returns:
            dict[str, Tensor]: 0-dim losses, to join the student's, and
            weighted ones to replace its own where ``task_weight`` is not 1.
        """
        captured = self._student.close()
        until: Dict[str, int] = {}
        for term in self.terms:
            first = term.knowledge.student_modules[0]
            if not captured.get(first):
                raise RuntimeError(
                    f'the student\'s {first} was not called '
                    'in its forward in loss mode, or the forward is the '
                    'second of an iteration, which is not supported: name in '
                    f'the knowledge of {term.key} a module that is called')
            with _pairing_named(term):
                needed = term.knowledge.calls_needed(captured)
            for name, calls in needed.items():
                until[name] = max(calls, until.get(name, 0))
        self.until = until
        is_new = self.inspects and until not in self._inspected
        view = self.view(inputs, data_samples, until, whole=is_new)

        raw: Dict[str, Tensor] = {}
        for term in self.terms:
            with _pairing_named(term):
                pairs = term.knowledge.pairs(captured, view)
                if self.is_first_batch:
                    self._refuse_non_finite(pairs)
                    _refuse_without_gradient(term, pairs)
                compare = partial(self._compare, term)
                if term.knowledge.adapters is not None:
                    pairs = term.knowledge.adapters.fit(pairs, compare)
                parts = [compare(pair) for pair in pairs]
            if measured is not None:
                measured += [
                    Measured(term.key, pair, part.item())
                    for pair, part in zip(pairs, parts)
                ]
            raw[term.key] = sum(parts)
            if term.temperature is not None:
                term.temperature.update(self._iteration, pairs)
        if is_new:
            self._inspected.append(until)
        weights = self._auto_weights(task_losses, raw)
        self.is_first_batch = False
        if self.drowned_task.is_due:
            weighted = {k: v * weights.get(k, 1.) for k, v in raw.items()}
            self.drowned_task.see(
                self.shares(task_losses, weighted), {
                    term.key: getattr(term.loss, 'loss_weight', None)
                    for term in self.terms if term.auto_weight is None
                })
        joined = self._weighted(task_losses) if self.task_weight != 1 else {}
        joined.update({
            key: loss * (self.strength * weights.get(key, 1.))
            for key, loss in raw.items()
        })
        return joined

    def shares(self, task_losses: Dict[str, Any],
               losses: Dict[str, Tensor]) -> Dict[str, Share]:
        """What each loss, at full strength, is beside the task's."""
        task_loss = self._parse_losses(task_losses)[0] * self.task_weight
        return gradient_shares(self._model, task_loss, losses)

    def task_losses(self, inputs: Tensor, data_samples: Any,
                    task_losses: Dict[str, Any]) -> Dict[str, float]:
        """The task's loss of both models on one batch, averaged over ranks.

        Summed over the losses that both have by name. It costs a teacher
        forward with its losses, and makes the host wait.

        Args:
            inputs (Tensor): The student's preprocessed batch (B, C, H, W).
            data_samples (list): The batch's data samples.
            task_losses (dict): The student's own losses.

        Raises:
            ValueError: If the two have no loss in common.
        """
        theirs = self.view(inputs, data_samples).task_losses()
        return self._looks.compare(task_losses, theirs)

    def compare_losses_every(self, interval: Optional[int]) -> None:
        """Have :meth:`look_at_losses` compare in every so many iterations.

        Args:
            interval (int, optional): None for never.
        """
        self._looks.every(interval)

    def look_at_losses(
            self, inputs: Tensor, data_samples: Any,
            task_losses: Dict[str, Any]) -> Optional[Dict[str, float]]:
        """:meth:`task_losses`, in the iterations that are set, else None.

        They are computed in the first iteration too, to see that they can be.
        """
        if not self._looks.is_due:
            return None
        compared = self.task_losses(inputs, self._looks.samples(data_samples),
                                    task_losses)
        return compared if self._looks.counts else None

    def _weighted(self, task_losses: Dict[str, Any]) -> Dict[str, Any]:
        """The student's own losses, weighted as far as the strength goes."""
        weight = 1 + min(self.strength, 1.) * (self.task_weight - 1)
        weighted: Dict[str, Any] = {}
        for key, loss in task_losses.items():
            if 'loss' not in key:  # such are logged, not summed
                continue
            if isinstance(loss, list):
                weighted[key] = [part * weight for part in loss]
            else:
                weighted[key] = loss * weight
        return weighted

    def _auto_weights(self, task_losses: Dict[str, Any],
                      raw: Dict[str, Tensor]) -> Dict[str, Tensor]:
        auto = [t for t in self.terms if t.auto_weight is not None]
        if not auto:
            return {}
        task_loss = self._parse_losses(task_losses)[0]
        means = torch.stack([task_loss.detach().float()] +
                            [raw[t.key].detach().float() for t in auto])
        all_reduce(means, 'mean')
        return {
            t.key: t.auto_weight(means[0], kd)
            for t, kd in zip(auto, means[1:])
        }

    def _compare(self, term: Term, pair: Pair) -> Tensor:
        # A loss of one's own need not know of labels.
        needed = getattr(term.loss, 'needs_target', False)
        return term.loss(
            pair.student,
            pair.teacher,
            weight=pair.weight,
            avg_factor=pair.avg_factor,
            temperature=self.temperatures.get(term.key),
            **(dict(target=pair.target) if needed else {}))

    def _refuse_non_finite(self, pairs: Sequence[Pair]) -> None:
        # On the first batch only: looking makes the host wait for the device.
        for pair in pairs:
            if not torch.isfinite(pair.teacher).all():
                raise ValueError(
                    f'the teacher {self.teacher.name} gives values at '
                    f'{pair.name} that are not finite: check its checkpoint, '
                    'its normalisation, and teacher.precision')

    def state_dict(self) -> dict:
        """What automatic weights, temperatures and adapters have learnt."""
        states = {term.key: term.state_dict() for term in self.terms}
        return {key: state for key, state in states.items() if state}

    def load_state_dict(self, state: dict) -> None:
        for term in self.terms:
            term.load_state_dict(state.get(term.key, {}))

    def remove(self) -> None:
        """Take every hook off both models."""
        self._student.remove()
        self._teacher.remove()
        self._mapping.remove()
        self._looks.remove()


def _pairing_named(term: Term) -> ContextManager[None]:
    """Say of any failure which entry it is of."""
    knowledge = term.knowledge
    return retold(lambda error: (
        f'{term.key}: what the student\'s {knowledge.module} and the '
        f'teacher\'s {knowledge.teacher_module} give could not be compared by '
        f'{type(knowledge).__name__} and {type(term.loss).__name__} {error}. '
        'Name other modules in this entry of distill, or distil feature maps '
        '(knowledge FPNFeatures, of a neck or a stage)'))


def _refuse_without_gradient(term: Term, pairs: Sequence[Pair]) -> None:
    if pairs and not any(pair.student.requires_grad for pair in pairs):
        raise ValueError(
            f'no gradient reaches the student through {term.key}: '
            f'{pairs[0].name} is frozen, or is within a part that activation '
            'checkpointing computes without one. Name in the knowledge a '
            'module that is trained; in activation_checkpointing, layers that '
            'are given one feature map (backbone.layer2), not a whole neck or '
            'head')
