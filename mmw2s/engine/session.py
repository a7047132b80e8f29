# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A distillation within a run: how it begins, is resumed, and ends."""
import gc
import math
from typing import Any, Dict, Optional

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from mmw2s.distillation.announce import last_end, until_when
from mmw2s.distillation.distiller import Distiller
from mmw2s.distillation.folding import fold_batch_norms
from mmw2s.distillation.loss_looks import LossLooks
from mmw2s.distillation.plausibility import warn_of_odd_settings
from mmw2s.distillation.step_looks import StepLooks
from mmw2s.distillation.stop_rules import LookingRule, StopRule
from mmw2s.distillation.teacher_watch import TeacherWatch
from mmw2s.distillation.terms import PREFIX
from mmw2s.engine.scoring import score_teacher
from mmw2s.records.event_log import EventLog, RunRecord
from mmw2s.records.files import FIRST
from mmw2s.registry import STOP_RULES
from mmw2s.utils.unwrap_model import unwrap_model
from .assembly import Assembly, Fields, assemble
from .entry_ends import EntryEnds, asks_from
from .finite_losses import FiniteLosses
from .logged_scalars import LoggedScalars, StepTimes, in_ms
from .run_facts import evaluator_names, iters_per_epoch, iters_per_update
from .run_guard import refuse_other_epochs
from .starting import Starting
from .target_check import warn_of_targets

__all__ = ['Session', 'refuse_unreached']


class Session:
    """One distillation in one run.

    It is open until a stop is decided. The teacher exists from :meth:`build`
    to the stop. A resumed run first replays its record and makes up for a
    validation that it missed; if one of them decides to stop, no teacher is
    built.

    Args:
        fields (Fields): The fields of the hook.
        log (EventLog): The log of the run.
        is_alone (bool): Whether the run has no other one. Defaults to True.

    Attributes:
        distiller (Distiller, optional): None before :meth:`build` and after
            the stop.
        record (RunRecord, optional): What was measured and decided.
        asks_from (float): The first iteration in which :meth:`end_if_due`
            may end it.
        finite (FiniteLosses, optional): Ends a run in which the distillation
            makes losses infinite or NaN. None before :meth:`build`.
        looks (LossLooks, optional): Compares training losses, for rules and
            schedules that follow them.
        chosen (dict): All fields but ``teacher``, those that were left out
            included. Empty before :meth:`build`.
        until (str): When it will end, in words. Empty before :meth:`build`.
        starting (Starting): What the student took over.
        scalars (LoggedScalars): What the log shows of it.
    """

    def __init__(self,
                 fields: Fields,
                 log: EventLog,
                 is_alone: bool = True) -> None:
        self._fields, self._log = fields, log
        self.scalars = LoggedScalars(fields.name)
        # Names it in the log, in a run that has several.
        self._by = '' if is_alone else f' by {fields.name}'
        self._of = '' if is_alone else f' of {fields.name}'
        self.distiller: Optional[Distiller] = None
        self.record: Optional[RunRecord] = None
        self.asks_from = math.inf
        self.finite: Optional[FiniteLosses] = None
        self.looks: Optional[LossLooks] = None
        self.chosen: Dict[str, Any] = {}
        self.until = ''
        self.starting = Starting()
        self._is_open = True
        self._saved: dict = {}
        self._stop: Optional[StopRule] = None
        self._ends: Optional[EntryEnds] = None
        self._watch: Optional[TeacherWatch] = None
        self._step_times = StepTimes()

    # -- the beginning -----------------------------------------------------

    def resume(self, runner: Runner, saved: dict) -> None:
        """Read the record of the run so far, and repeat its decisions.

        Args:
            runner (Runner): The resumed run.
            saved (dict): What the checkpoint holds, see :meth:`state_dict`.

        Raises:
            ValueError: If the distillation goes on, and an epoch has another
                length than before.
        """
        self._saved = saved
        self.record = self._log.open_decisions(runner.work_dir, runner.iter,
                                               runner._load_from,
                                               saved.get('rows'),
                                               self._fields.name)
        self.starting.waits = bool(saved.get('watches_start')) and \
            not self.record.of('baseline')
        if self.record.of('stop'):
            self._stay_off(runner)
            return
        refuse_other_epochs(runner)
        for row in self.record.of('teacher'):
            # Older records do not name the default that was taken: the rule
            # is then known with the teacher, see `build`.
            default = row.get('stop')
            stop_cfg = self._fields.completed('stop', lambda: default) \
                if default else self._fields.in_full('stop')
            stop = stop_cfg and STOP_RULES.build(
                stop_cfg, owner='WeakTeacherDistillHook.stop')
            if stop and (row['metrics'] or not stop.needs_teacher_score):
                self._bind_stop(runner, stop, row['metrics'])
                self._watch = self._new_watch(runner)
                self.decide(runner)
        if not self.record.rows:  # the teacher's row is the first of all
            self.build(runner)

    def _stay_off(self, runner: Runner) -> None:
        self._is_open = False
        done = self.record.of('stop')[0]['iter']
        self.scalars.restart_smoothed(runner.message_hub, runner.iter - done)
        self.scalars.drop(runner.message_hub)
        self._watch = TeacherWatch.of_record(
            self.record.rows,
            runner.max_iters,
            student_best=self._saved.get('student_best'),
            which=self._of)
        print_log(
            f'Distillation{self._by} was switched off at iteration '
            f'{done} of this run, and stays off.',
            logger='current')

    def _bind_stop(self, runner: Runner, stop: StopRule,
                   metrics: dict) -> None:
        stop.bind(runner.max_iters, iters_per_epoch(runner), metrics)
        self._stop = stop

    @staticmethod
    def _bind_entries(runner: Runner, distiller: Distiller,
                      metrics: dict) -> None:
        """Set what the entries' own rules and the schedules ask for."""
        for term in distiller.terms:
            if term.stop is not None:
                term.stop.bind(runner.max_iters, iters_per_epoch(runner),
                               metrics)
        for schedule in distiller.schedules:
            if schedule.needs_teacher_score:
                schedule.know_teacher(metrics)

    def build(self, runner: Runner) -> None:
        """Build, check and score the teacher, and attach to the student.

        Raises:
            ValueError: If teacher, student and run do not fit.
        """
        if not self._is_open or self.distiller is not None:
            return
        try:
            made = assemble(self._fields, runner, self._stop)
        except TypeError as error:
            # To a TypeError MMEngine would add the address of a hook.
            raise ValueError(str(error)) from error
        if made.distiller is None:
            self._start_alone(runner, made)
            return
        teacher = made.teacher
        # A resumed run keeps the teacher's score that it began with.
        known = self.record.of('teacher') if self.record else []
        teacher.check_resumed(known)
        metrics, seconds = known[0]['metrics'] if known else {}, 0.
        asking = [d for d in made.deciders.values() if d.needs_teacher_score]
        if asking and not metrics:
            metrics, seconds = score_teacher(
                teacher, runner,
                lambda names: [d.check_metrics(names) for d in asking])
        if made.stop is not self._stop:
            self._bind_stop(runner, made.stop, metrics)
        self._bind_entries(runner, made.distiller, metrics)
        if not known:  # a resumed run has means there, of some rules
            teacher.check_score(self._stop.scores())
        warn_of_odd_settings(
            made.distiller.schedule,
            made.distiller.terms,
            self._stop,
            self._fields.stop,
            is_default_schedule=self._fields.schedule is None)
        if self.record is None:
            self.record = self._log.open_decisions(
                runner.work_dir, name=self._fields.name)
        if not known:
            self._note_teacher(runner, made, metrics, seconds)
        warn_of_targets(runner, metrics)
        if runner.iter == 0 and self._fields.start is not None:
            self.starting.apply(runner, self._fields.start, made, self.record)
        if teacher.fuse:  # nothing reads its weights from here on
            fold_batch_norms(teacher)
        self._attach(made, runner.optim_wrapper)
        self._describe(runner)
        self._watch = self._new_watch(runner)
        self.distiller.load_state_dict(self._saved)
        self.decide(runner)

    def _new_watch(self, runner: Runner) -> Optional[TeacherWatch]:
        return TeacherWatch.of_record(
            self.record.rows,
            runner.max_iters,
            getattr(self._stop, 'rule', None),
            which=self._of)

    def _note_teacher(self, runner: Runner, made: Assembly, metrics: dict,
                      seconds: float) -> None:
        teacher = made.teacher
        scores = made.stop.scores() if made.stop else {}
        self.record.append(
            'teacher',
            runner.iter,
            name=teacher.name,
            checkpoint=teacher.checkpoint,
            metric=scores.get('metric'),
            score=scores.get('teacher'),
            metrics=metrics,
            evaluators=evaluator_names(runner),
            seconds=seconds,
            # A default depends on the teacher. With it on record, a resumed
            # run need not build a teacher to know its rule.
            stop=made.default_stop,
            **(dict(permuted=True) if teacher.permute else {}),
            **teacher.fingerprint)

    def _start_alone(self, runner: Runner, made: Assembly) -> None:
        """Take the teacher's weights, and let it go."""
        if self.record is None:
            self.record = self._log.open_decisions(
                runner.work_dir, name=self._fields.name)
        if not self.record.of('teacher'):
            self._note_teacher(runner, made, {}, 0.)
        if runner.iter == 0:
            self.starting.apply(runner, self._fields.start, made, self.record)
        self._is_open = False
        self.record.append(
            'stop',
            runner.iter,
            epoch=runner.iter / iters_per_epoch(runner),
            reason='nothing is distilled')
        unused = self._fields.of_distilling()
        print_log(
            'The teacher is gone again: nothing is distilled (distill=[])' +
            (f', so that {", ".join(unused)} have no effect.'
             if unused else '.'),
            logger='current')

    def _attach(self, made: Assembly, optim_wrapper: OptimWrapper) -> None:
        self.distiller, self.chosen = made.distiller, made.chosen
        deciders = made.deciders.values()
        intervals = {d.train_loss_interval for d in deciders} - {None}
        if intervals:
            self.looks = LossLooks(self.distiller, *intervals)
        rules = [d for d in deciders if isinstance(d, LookingRule)]
        if rules:
            self.distiller.looks = StepLooks(rules)
        self.finite = FiniteLosses()
        self.distiller.attach()
        self.distiller.watch_gradients(optim_wrapper)
        self._ends = EntryEnds(self.distiller, self.record)
        self._set_asks_from()

    def _set_asks_from(self) -> None:
        points = (asks_from(self._stop), self.distiller.schedule.zero_from(),
                  *self._ends.points())
        self.asks_from = min((p for p in points if p is not None),
                             default=math.inf)

    def _describe(self, runner: Runner) -> None:
        self.until = until_when(self.distiller.schedule,
                                self._stop, runner.max_iters,
                                iters_per_epoch(runner), self.distiller.terms)
        print_log(
            f'Weak-to-strong distillation{self._by} is on {self.until}. '
            'In full:\n'
            f'{self.in_full()}',
            logger='current')

    def in_full(self) -> str:
        """What was given and chosen, as text to be pasted into a config."""
        hook = dict(
            type='mmw2s.WeakTeacherDistillHook',
            teacher=self._fields.teacher,
            **self.chosen)
        name, after = self._fields.name, self._fields.after
        if name != FIRST:
            hook['name'] = name
        if after is not None:
            hook['after'] = after
        return Config(dict(default_hooks={name: hook})).pretty_text

    @property
    def is_open(self) -> bool:
        """Whether no stop has been decided."""
        return self._is_open

    def ends_by(self, runner: Runner) -> int:
        """The iteration at which it ends at the latest, while it is on."""
        return last_end(self.distiller.schedule, self._stop, runner.max_iters,
                        self.distiller.terms)[0]

    # -- decisions ---------------------------------------------------------

    def end_if_due(self, runner: Runner) -> None:
        """End it before an iteration, if the rule or the schedule says so."""
        if self.distiller is None:
            return
        reason = self._stop.at(runner.iter)
        zero_from = self.distiller.schedule.zero_from()
        if reason is None and zero_from is not None and \
                runner.iter >= zero_from:
            reason = 'the schedule has reached 0'
        if reason is not None:
            self.end(runner, reason, runner.iter)
            return
        self._end_entries(runner, self._ends.due(runner.iter), runner.iter)

    def after_look(self, runner: Runner) -> None:
        """Record what was looked at in a step, and decide on it."""
        rows: Dict[str, dict] = {}
        if self.looks is not None:
            losses = self.looks.take()
            if losses is not None:
                rows['train'] = losses
        if self.distiller.looks is not None:
            rows.update(
                (event, dict(values=values))
                for event, values in self.distiller.looks.take().items())
        for event, fields in rows.items():
            self.record.append(event, runner.iter + 1, **fields)
        if rows:
            self.decide(runner)

    def after_validation(self, runner: Runner,
                         metrics: Optional[Dict[str, float]]) -> None:
        """Record a validation, and decide on it."""
        if self.record is None:  # runner.val() on its own
            return
        validation = self._log.validated(runner.iter,
                                         runner.iter / iters_per_epoch(runner),
                                         metrics)
        self.starting.compare(runner, validation, self.record,
                              getattr(self._stop, 'rule', None))
        if self._watch is not None:
            self._watch.tell(validation)
        self.decide(runner)

    def decide(self, runner: Runner) -> None:
        """Let the stop rule see what was recorded since it last looked."""
        if not self._is_open or self._stop is None:
            return
        for row in self.record.unread():
            reason = self._stop.after(row)
            if reason is not None:
                # Another rule than before may decide by an earlier row.
                self.end(runner, reason, self.record.rows[-1]['iter'])
                return
        if self._ends is not None:
            self._end_entries(runner, self._ends.decided(),
                              self.record.rows[-1]['iter'])

    def _end_entries(self, runner: Runner, ended: Dict[str, str],
                     done: int) -> None:
        epoch = done / iters_per_epoch(runner)
        self._ends.end(ended, done, epoch)
        for key, reason in ended.items():
            self.scalars.drop(runner.message_hub, key)
            print_log(
                f'{key} is switched off for good at epoch {epoch:.2f}, '
                f'iteration {done}: {reason}.',
                logger='current')
        if not self.distiller.terms:
            self.end(runner, 'each entry of distill has ended', done)
        elif ended:
            self._set_asks_from()

    # -- the end -----------------------------------------------------------

    def end(self, runner: Runner, reason: str, done: int) -> None:
        """Switch the distillation off for good.

        Args:
            runner (Runner): The run.
            reason (str): Why, for the record and the log.
            done (int): Iterations that were complete when it was decided.
        """
        self._is_open = False
        epoch = done / iters_per_epoch(runner)
        scores = self._stop.scores()
        every = self._fields.every
        self._step_times.set_point(runner, every * iters_per_update(runner))
        step_ms, teacher_ms = self._step_times.before, None
        loss_is_a_sum = False
        if self.distiller is not None:
            teacher_ms = self.distiller.teacher.stopwatch.median_ms
            if teacher_ms is not None:
                teacher_ms /= every  # of a step, as the step's own
            loss_is_a_sum = self.distiller.loss_is_a_sum
        self.record.append(
            'stop',
            done,
            epoch=epoch,
            reason=reason,
            step_ms=step_ms,
            teacher_ms=teacher_ms,
            **scores)
        self.scalars.restart_smoothed(runner.message_hub, runner.iter - done,
                                      loss_is_a_sum)
        self.close(runner)
        compared = ', '.join(f'{who} {scores[who]:.4f}'
                             for who in ('student', 'teacher')
                             if isinstance(scores.get(who), float))
        if compared:
            compared = f' ({scores["metric"]}: {compared})'
        so_far = self._watch and self._watch.so_far()
        print_log(
            f'Distillation{self._by} is switched off for good at epoch '
            f'{epoch:.2f}, '
            f'iteration {done}: {reason}{compared}. A step took '
            f'{in_ms(step_ms)}, the teacher\'s forward '
            f'{in_ms(teacher_ms)} of it.' +
            (f' The teacher: {so_far}.' if so_far else ''),
            logger='current')

    def close(self, runner: Runner) -> None:
        """Leave the model as it was found, and free the teacher."""
        if self.looks is not None:
            self.looks.remove()
            self.looks = None
        if self.distiller is not None:
            self.distiller.remove()
            self.distiller = self._ends = None
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        self.scalars.drop(runner.message_hub)

    def without_others(self, outputs: Dict[str, Any]) -> Dict[str, Any]:
        """What a step has returned, without other teachers' losses."""
        own = {term.key for term in self.distiller.terms}
        return {
            key: value
            for key, value in outputs.items()
            if key in own or not key.startswith(PREFIX)
        }

    def tell_step_time(self, runner: Runner) -> None:
        """Log once, some steps after the stop, how long a step takes now."""
        after = self._step_times.after_step(runner)
        if after is not None:
            print_log(
                f'A step took {in_ms(self._step_times.before)} with the '
                f'teacher and takes {in_ms(after)} since it is gone '
                f'(median of {self._step_times.window} steps).',
                logger='current')

    def tell_verdict(self) -> None:
        """Log, at the end of the run, whether the teacher was a good one."""
        if self._watch is not None:
            self._watch.tell_at_the_end()

    def state_dict(self) -> dict:
        """What was learned and decided so far, for a checkpoint."""
        if self.record is None:
            return {}
        state = self.distiller.state_dict() if self.distiller else {}
        return dict(
            state,
            rows=list(self.record.rows),
            watches_start=self.starting.waits,
            student_best=self._watch and self._watch.student_best)


def refuse_unreached(runner: Runner) -> None:
    """End a run in which the student's forward hooks are never called.

    Raises:
        RuntimeError: Always. The message says what ``train_step`` should do.
    """
    raise RuntimeError(
        f'the forward of {type(unwrap_model(runner.model)).__name__} in loss '
        'mode never reached the hook, so nothing is distilled. Its train_step '
        'should call the model itself (as BaseModel.train_step does), not one '
        'of its methods')
