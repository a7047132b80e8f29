# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import gc
from typing import Any, Dict, List, Optional, Sequence, Set, Union

import torch
from mmengine._strategy import SingleDeviceStrategy
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from mmw2s.analysis.record import scalar_metrics
from mmw2s.distillation import class_matching
from mmw2s.distillation.announce import until_when
from mmw2s.distillation.distiller import Distiller, Measured
from mmw2s.distillation.pipelines import match_pipelines
from mmw2s.distillation.plausibility import warn_of_odd_settings
from mmw2s.distillation.recipes import (default_distill, default_schedule,
                                        default_stop, why_incomparable)
from mmw2s.distillation.record import RunRecord
from mmw2s.distillation.stop_rules import StopRule
from mmw2s.distillation.teacher import FrozenTeacher
from mmw2s.distillation.teacher_watch import TeacherWatch
from mmw2s.distillation.terms import build_terms
from mmw2s.engine.finite_losses import FiniteLosses
from mmw2s.engine.logged_scalars import (drop_ours, restart_smoothed,
                                         update_ours)
from mmw2s.engine.missed_validation import provide_for_resuming
from mmw2s.engine.next_command import tell_next_command
from mmw2s.engine.only_one import refuse_another
from mmw2s.engine.run_classes import check_validation, student_classes
from mmw2s.engine.run_facts import evaluator_names, iters_per_epoch
from mmw2s.engine.scoring import score_teacher
from mmw2s.engine.step_times import StepTimes, in_ms
from mmw2s.engine.target_check import warn_of_targets
from mmw2s.registry import SCHEDULES, STOP_RULES
from mmw2s.utils.building import check_fields, owned_by
from mmw2s.utils.fields import check_number
from mmw2s.utils.rng import preserved_rng
from mmw2s.utils.unwrap_model import unwrap_model
from mmw2s.utils.versions import refuse_bfloat16
from .time_to_target_hook import TimeToTargetHook

__all__ = ['WeakTeacherDistillHook']

_STATE = 'w2s'


@HOOKS.register_module()
class WeakTeacherDistillHook(Hook):
    """Lets a frozen weaker teacher speed up the first part of training.

    The student learns from its task and from the teacher until a stop rule
    says that it has got past it. Then the teacher and every trace of it are
    removed, and the run goes on as if it had never been there. Method:
    *Weak-to-Strong Knowledge Distillation Accelerates Visual Learning*
    (arXiv:2604.15451).

    Only ``teacher`` is needed. What else is left out is chosen by the kind of
    model and written to the log in full, ready to be pasted into a config.

    Args:
        teacher (str or dict): A config (path, ``'mmdet::...'`` or dict with
            the key ``model``), or a dict of the fields of
            :class:`~mmw2s.distillation.FrozenTeacher`: ``config``,
            ``checkpoint``, ``score``, ``precision``, ``cfg_options``,
            ``classes``, ``trust_checkpoint``.
        distill (list[dict], optional): What is transferred and how it is
            compared, an entry a knowledge: ``knowledge`` and ``loss``
            (configs), and optionally ``name``, ``temperature`` (config of a
            schedule) and ``auto_ratio``. Defaults to None: by the kind of
            model.
        schedule (dict, optional): Strength over the run, a factor of all
            distillation losses. Defaults to None: full after a short
            warm-up, then fading by the middle of the run or earlier.
        stop (dict, optional): Until when. Defaults to None:
            ``SurpassTeacher``; ``SurpassOnTrain`` in a run without
            validation; the middle of the run where the teacher knows other
            classes.
        task_weight (float): What the student's own losses are multiplied by
            at full strength; at lower strength it is that much nearer to 1.
            Defaults to 1.0.

    Raises:
        TypeError: For an unknown field, naming the nearest.
        ValueError: Before training, for a teacher that does not fit.
    """

    # Its rows belong to a checkpoint saved in the same iteration, and
    # CheckpointHook comes last.
    priority = 'NORMAL'

    def __init__(self,
                 teacher: Union[str, dict],
                 distill: Optional[Sequence[dict]] = None,
                 schedule: Optional[dict] = None,
                 stop: Optional[dict] = None,
                 task_weight: float = 1.0,
                 **unknown: Any) -> None:
        check_fields('WeakTeacherDistillHook', unknown,
                     ('teacher', 'distill', 'schedule', 'stop', 'task_weight'))
        name = 'WeakTeacherDistillHook'
        check_number(f'{name}.task_weight', task_weight, at_least=0)
        self.teacher_cfg = teacher
        self.distill_cfg = distill
        self.schedule_cfg = schedule
        self.stop_cfg = stop
        self.task_weight = task_weight
        # Fields are refused here, before data sets and models are built.
        with owned_by(name):
            FrozenTeacher.check_cfg(teacher)
        if distill is not None:
            build_terms(distill)
        if schedule is not None:
            SCHEDULES.build(schedule, owner=f'{name}.schedule')
        if stop is not None:
            STOP_RULES.build(stop, owner=f'{name}.stop')

        self.distiller: Optional[Distiller] = None
        #: Filled pair by pair while it is a list (by the dry run).
        self.measured: Optional[List[Measured]] = None
        #: Until when in words, and all fields but the teacher, for messages.
        self.until, self.chosen = '', {}
        self._stop: Optional[StopRule] = None
        self._watch: Optional[TeacherWatch] = None
        #: What was measured and decided, once training has begun.
        self.record: Optional[RunRecord] = None
        self._missed: Any = None
        self._handle: Any = None
        self._loaded_state: dict = {}
        self._reached = False
        self._sums: Set[str] = set()
        self._finite = FiniteLosses()
        self._train_losses: Optional[Dict[str, float]] = None
        self._step_times = StepTimes()

    # -- attaching -------------------------------------------------------

    def before_run(self, runner: Runner) -> None:
        """Provide for a validation that a cut run has missed."""
        if self._missed is None:
            self._missed = provide_for_resuming(
                runner, lambda: self._validated_iters(runner))

    def _validated_iters(self, runner: Runner) -> List[int]:
        if self.distiller is None:  # switched off: no validation is missed
            return [runner.iter]
        return [row['iter'] for row in self.record.of('val')]

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the state; whether this is a resume is not known yet."""
        self._loaded_state = checkpoint.get(_STATE, {})

    def before_train(self, runner: Runner) -> None:
        """Build, check and score the teacher, and attach to the student.

        Not earlier: ``before_run`` fires in validation too, precedes
        ``init_weights``, and an ``EMAHook`` would copy what hangs on the
        model.
        """
        record = None
        if runner.iter > 0:
            record = self.record = RunRecord.resume(
                runner.work_dir, runner.iter, runner._load_from,
                self._loaded_state.get('rows'))
            if record.of('stop'):
                done = record.of('stop')[0]['iter']
                restart_smoothed(runner.message_hub, runner.iter - done)
                drop_ours(runner.message_hub)
                self._watch = TeacherWatch.of_record(
                    record.rows,
                    runner.max_iters,
                    student_best=self._loaded_state.get('student_best'))
                print_log(
                    f'Distillation was switched off at iteration {done} of '
                    'this run, and stays off.',
                    logger='current')
                return
        refuse_another(runner, self)
        self._refuse_run(runner)
        student = unwrap_model(runner.model)
        with preserved_rng():
            teacher = FrozenTeacher.from_cfg(self.teacher_cfg,
                                             runner.cfg.filename)
            teacher.follow(student)
            match_pipelines(teacher, runner, student.data_preprocessor)
        classes = student_classes(runner, student)
        distill = self.distill_cfg or default_distill(
            student, teacher.model,
            class_matching.class_difference(teacher, classes))
        terms = build_terms(distill)
        for term in terms:
            term.knowledge.match_classes(teacher, classes)
        schedule_cfg = self.schedule_cfg or default_schedule(student, terms)
        self.distiller = Distiller(student, teacher, terms,
                                   SCHEDULES.build(schedule_cfg),
                                   self.task_weight)
        self.distiller.inspects = True
        same_names = class_matching.check_classes(
            teacher, classes, any(t.knowledge.by_class for t in terms))
        why_not = why_incomparable(student, teacher.model, same_names)
        stop_cfg = self.stop_cfg or default_stop(
            runner.val_loop is not None, runner.max_iters, why_not is None,
            student)
        self._stop = STOP_RULES.build(stop_cfg)
        self._refuse_stop(runner, why_not)
        check_validation(runner, classes, self._stop.needs_validation)
        self.distiller.compare_losses_every(self._stop.train_loss_interval)
        length = (runner.max_iters, iters_per_epoch(runner))
        self.distiller.bind(*length)

        # A resumed run goes on against the score that it began with.
        known = record.of('teacher') if record else []
        teacher.check_resumed(known)
        metrics, seconds = known[0]['metrics'] if known else {}, 0.
        if self._stop.needs_teacher_score and not metrics:
            metrics, seconds = score_teacher(teacher, runner,
                                             self._stop.check_metrics)
        self._stop.bind(*length, metrics)
        scores = self._stop.scores()
        teacher.check_score(scores)
        warn_of_odd_settings(
            self.distiller.schedule,
            self.distiller.terms,
            self._stop,
            self.stop_cfg,
            is_default_schedule=self.schedule_cfg is None)

        self.record = record or RunRecord.start(runner.work_dir)
        if not known:
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
                **teacher.fingerprint)
        warn_of_targets(runner, metrics)
        # A compiled model calls it after its graphs.
        self._handle = student.register_forward_hook(
            torch.compiler.disable(self._join_losses), with_kwargs=True)
        self._reached = False
        self._describe(distill, schedule_cfg, stop_cfg, length)
        self._watch = TeacherWatch.of_record(self.record.rows,
                                             runner.max_iters,
                                             getattr(self._stop, 'rule', None))
        if record is not None:
            self.distiller.load_state_dict(self._loaded_state)
            self._replay(runner)

    @staticmethod
    def _refuse_run(runner: Runner) -> None:
        """Refuse what is known not to work, or was never seen to."""
        strategy = getattr(runner, 'strategy', None)
        # DDP and FSDP descend from it.
        if strategy is not None and not isinstance(strategy,
                                                   SingleDeviceStrategy):
            raise ValueError(
                'WeakTeacherDistillHook works with SingleDeviceStrategy, '
                'DDPStrategy and FSDPStrategy, but the run has '
                f'{type(strategy).__name__}: use one of those, or leave the '
                'hook out')
        if getattr(runner.optim_wrapper, 'cast_dtype', None) is torch.bfloat16:
            refuse_bfloat16(unwrap_model(runner.model))

    def _refuse_stop(self, runner: Runner, why_not: Optional[str]) -> None:
        """Refuse a rule that lacks what it decides on."""
        name = type(self._stop).__name__
        if self._stop.needs_validation and runner.val_loop is None:
            raise ValueError(
                f'stop={name} decides on validations, but the run has none: '
                'configure val_dataloader, val_cfg and val_evaluator, or use '
                'stop=dict(type="SurpassOnTrain")')
        if why_not and (self._stop.needs_teacher_score
                        or self._stop.train_loss_interval is not None):
            raise ValueError(
                f'stop={name} compares the student with its teacher on the '
                f'run\'s data, but the teacher {why_not}: use '
                'stop=dict(type="At", ...), or a SurpassTeacher with a number '
                'as its teacher_score')

    def _replay(self, runner: Runner) -> None:
        """Bring the stop rule to where the record ends."""
        for row in list(self.record.rows):
            reason = self._stop.after(row)
            if reason is not None:  # killed before it could be acted on
                self._switch_off(runner, reason, done=row['iter'])
                return

    def _describe(self, distill: Sequence[dict], schedule_cfg: dict,
                  stop_cfg: dict, length: tuple) -> None:
        self.until = until_when(self.distiller.schedule, self._stop, *length)
        self.chosen = dict(
            distill=list(distill),
            schedule=schedule_cfg,
            stop=stop_cfg,
            task_weight=self.task_weight)
        in_full = Config(
            dict(custom_hooks=[
                dict(type='mmw2s.WeakTeacherDistillHook',
                     teacher=self.teacher_cfg, **self.chosen)
            ]))  # yapf: disable
        print_log(
            f'Weak-to-strong distillation is on {self.until}. In full:\n'
            f'{in_full.pretty_text}',
            logger='current')

    # -- every step ------------------------------------------------------

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: Any = None) -> None:
        """Take this iteration's strength, or stop where it is due."""
        if self.distiller is None:
            return
        reason = self._stop.at(runner.iter)
        zero_from = self.distiller.schedule.zero_from()
        if reason is None and zero_from is not None and \
                runner.iter >= zero_from:
            reason = 'the schedule has reached 0'
        if reason is not None:
            self._switch_off(runner, reason)
            return
        self.distiller.set_progress(runner.iter)
        update_ours(runner.message_hub, self.distiller)

    def _join_losses(self, module: nn.Module, args: tuple, kwargs: dict,
                     output: Any) -> Optional[dict]:
        """Forward hook of the student: add our losses to its own."""
        batch = dict(zip(('inputs', 'data_samples', 'mode'), args), **kwargs)
        if batch.get('mode') != 'loss' or not module.training:
            return None
        self._reached = True
        # A student's own loss of that name (mmpretrain's) hides the sum.
        self._sums = set() if 'loss' in output else {'loss'}
        distiller = self.distiller
        given = batch.get('inputs'), batch.get('data_samples'), output
        self._train_losses = distiller.look_at_losses(*given)
        if distiller.strength <= 0:
            return None
        return {**output, **distiller.losses(*given, self.measured)}

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: Optional[dict] = None) -> None:
        """Check that we were heard; let the stop rule see training losses."""
        if self.distiller is None:
            after = self._step_times.after_step(runner)
            if after is not None:
                print_log(
                    f'A step took {in_ms(self._step_times.before)} with the '
                    f'teacher and takes {in_ms(after)} since it is gone '
                    f'(median of {self._step_times.window} steps).',
                    logger='current')
            return
        if not self._reached:
            raise RuntimeError(
                'the forward of '
                f'{type(unwrap_model(runner.model)).__name__} in loss mode '
                'never reached the hook, so nothing is distilled. '
                'Its train_step should call the model itself (as '
                'BaseModel.train_step does), not one of its methods')
        self._finite.check(runner, outputs or {}, self._sums)
        if self._train_losses is not None:
            row = self.record.append('train', runner.iter + 1,
                                     **self._train_losses)
            self._train_losses = None
            reason = self._stop.after(row)
            if reason is not None:
                self._switch_off(runner, reason, done=runner.iter + 1)

    # -- stopping --------------------------------------------------------

    def after_val_epoch(self,
                        runner: Runner,
                        metrics: Optional[Dict[str, float]] = None) -> None:
        """Record the validation and let the stop rule decide."""
        metrics = scalar_metrics(metrics or {})
        if self._watch is not None:
            self._watch.tell(dict(iter=runner.iter, metrics=metrics))
        if self.distiller is None:
            return
        if runner.iter in self._validated_iters(runner):
            return  # once more, for a record of another hook's
        row = self.record.append(
            'val',
            runner.iter,
            epoch=runner.iter / iters_per_epoch(runner),
            metrics=metrics)
        reason = self._stop.after(row)
        if reason is not None:
            self._switch_off(runner, reason, done=runner.iter)

    def after_train(self, runner: Runner) -> None:
        """Leave the model as it was found."""
        self._detach(runner)
        if self._watch is not None:
            self._watch.tell_at_the_end()
        tell_next_command(runner, unless=TimeToTargetHook)  # that one does

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Save what was learnt and decided, also once that is over."""
        state = self.distiller.state_dict() if self.distiller else {}
        if self.record is not None:
            checkpoint[_STATE] = dict(
                state,
                rows=list(self.record.rows),
                student_best=self._watch and self._watch.student_best)

    def _switch_off(self,
                    runner: Runner,
                    reason: str,
                    done: Optional[int] = None) -> None:
        done = runner.iter if done is None else done
        epoch = done / iters_per_epoch(runner)
        scores = self._stop.scores()
        self._step_times.set_point(runner)
        step_ms = self._step_times.before
        teacher_ms = self.distiller.teacher.stopwatch.median_ms
        self.record.append(
            'stop',
            done,
            epoch=epoch,
            reason=reason,
            step_ms=step_ms,
            teacher_ms=teacher_ms,
            **scores)
        restart_smoothed(runner.message_hub, runner.iter - done, 'loss'
                         in self._sums)
        self._detach(runner)
        compared = ', '.join(f'{who} {scores[who]:.4f}'
                             for who in ('student', 'teacher')
                             if isinstance(scores.get(who), float))
        if compared:
            compared = f' ({scores["metric"]}: {compared})'
        so_far = self._watch and self._watch.so_far()
        print_log(
            f'Distillation is switched off for good at epoch {epoch:.2f}, '
            f'iteration {done}: {reason}{compared}. A step took '
            f'{in_ms(step_ms)}, the teacher\'s forward '
            f'{in_ms(teacher_ms)} of it.' +
            (f' The teacher: {so_far}.' if so_far else ''),
            logger='current')

    def _detach(self, runner: Runner) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
        if self.distiller is None:
            return
        self.distiller.remove()
        self.distiller = None
        drop_ours(runner.message_hub)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
