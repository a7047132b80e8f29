# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import math
from typing import Any, Dict, Optional, Sequence, Union

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mmw2s.distillation.distiller import Distiller
from mmw2s.engine.assembly import Fields, refuse_run
from mmw2s.engine.next_command import tell_next_command
from mmw2s.engine.run_log import RunLog
from mmw2s.engine.session import Session, refuse_unreached
from mmw2s.engine.several_teachers import (check_several, forget_absent,
                                           warn_of_no_turn)
from mmw2s.records.event_log import EventLog, RunRecord
from mmw2s.records.files import FIRST
from mmw2s.utils.building import check_fields
from .time_to_target_hook import TimeToTargetHook

__all__ = ['WeakTeacherDistillHook']


@HOOKS.register_module()
class WeakTeacherDistillHook(Hook):
    """Lets a frozen weaker teacher speed up the first part of training.

    The student learns from its task and from the teacher. A stop rule ends
    this, by default once the student is better than the teacher. Then the
    hook removes the teacher and every trace of it, and the run goes on as if
    there had never been a teacher. Method: *Weak-to-Strong Knowledge
    Distillation Accelerates Visual Learning* (arXiv:2604.15451).

    Only ``teacher`` is needed. The hook chooses the other fields by the kind
    of model, and writes all of them to the log, ready to be pasted into a
    config.

    Args:
        teacher (str or dict): A config (path, ``'mmdet::...'`` or dict with
            the key ``model``), or a dict of the fields of
            :class:`~mmw2s.distillation.FrozenTeacher`: ``config``,
            ``checkpoint``, ``score``, ``precision``, ``cfg_options``,
            ``classes``, ``trust_checkpoint``, ``scale``, ``fuse``.
        distill (list[dict] or str, optional): What is transferred and how it
            is compared. Each entry has a ``knowledge`` and a ``loss``
            (configs). It may have a ``name``, a ``temperature`` (config of a
            schedule), an ``auto_ratio``, and a ``schedule`` and a ``stop`` of
            its own, within those of the whole. ``'full'``, or
            ``dict(full={})``, is all that is known of the kind of model: of a
            detector its features and the scores of its head. Defaults to
            None: by the kind of model, of a detector its features. A dict
            changes some numbers of these lists, by the places of their
            entries.
        schedule (dict, optional): The strength over the run, a factor of all
            distillation losses. Defaults to None: it rises in a short
            warm-up, stays full for a while, and is 0 from the middle of the
            run at the latest.
        stop (dict, optional): The rule that ends the distillation. Defaults
            to None: ``SurpassTeacher``; ``SurpassOnTrain`` in a run without
            validation; the middle of the run if the teacher cannot be scored
            on its data.
        task_weight (float): Factor of the student's own losses at full
            strength. It goes to 1 as the strength goes to 0. Defaults to 1.0.
        start (dict, optional): From where the student starts: weights of the
            teacher that it takes over, ``dict(type='Inherit')``, ``'Corner'``
            or ``'Grow'``.
            Defaults to None: as the run initializes it.
        every (int): Only every so many updates of the student's weights
            distill, at so many times the weight; the others cost what they
            cost without a teacher. Defaults to 1.
        name (str): Tells several of these hooks in one run apart, each with a
            teacher of its own: ``'w2s'`` for the first and ``'w2s_'`` with a
            word for each further one. Its record, its part of a checkpoint
            and its numbers in the log have this name. Defaults to ``'w2s'``.
        after (str, optional): Name of a hook that is called before this one.
            This teacher waits until that one has been switched off. Its
            schedule counts from the beginning of the run, and its stop rule
            decides while it waits, too: a student that has surpassed it
            already never learns from it. Defaults to None: it teaches from
            the beginning.

    Raises:
        TypeError: If a field is unknown. The message names the nearest one.
        ValueError: If a field is out of range; or, before training, if the
            teacher does not fit the student or the run.

    Examples:
        >>> default_hooks = dict(w2s=dict(
        >>>     type='mmw2s.WeakTeacherDistillHook',
        >>>     teacher='mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'))
    """

    # Before CheckpointHook: a checkpoint holds the rows of its iteration.
    priority = 'NORMAL'

    def __init__(self,
                 teacher: Union[str, dict],
                 distill: Union[None, str, dict, Sequence[dict]] = None,
                 schedule: Optional[dict] = None,
                 stop: Optional[dict] = None,
                 task_weight: float = 1.0,
                 start: Optional[dict] = None,
                 every: int = 1,
                 name: str = FIRST,
                 after: Optional[str] = None,
                 **unknown: Any) -> None:
        check_fields('WeakTeacherDistillHook', unknown,
                     ('teacher', 'distill', 'schedule', 'stop', 'task_weight',
                      'start', 'every', 'name', 'after'))
        self.fields = Fields(teacher, distill, schedule, stop, task_weight,
                             start, every, name, after)
        self.fields.check()
        #: The distillation of the run, from ``before_train`` on.
        self.session: Optional[Session] = None
        self._saved: dict = {}
        self._is_alone = True
        self._waits_for: Optional['WeakTeacherDistillHook'] = None
        self._has_waited = False
        self._log: Optional[EventLog] = None

    @property
    def distiller(self) -> Optional[Distiller]:
        """What distills, while distillation is on."""
        return self.session and self.session.distiller

    @property
    def record(self) -> Optional[RunRecord]:
        """What was measured and decided, once training has begun."""
        return self.session and self.session.record

    def before_run(self, runner: Runner) -> None:
        """Get the log of the run, which also runs a missed validation."""
        self._log = RunLog.of(runner, then=self._build)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the state; whether this is a resume is not known yet."""
        self._saved = checkpoint.get(self.fields.name, {})

    def before_train(self, runner: Runner) -> None:
        """Begin a session, or continue that of the run that is resumed."""
        refuse_run(runner, self.fields)
        hooks = [
            hook for hook in runner.hooks
            if isinstance(hook, WeakTeacherDistillHook)
        ]
        check_several(self, hooks)
        self._is_alone = len(hooks) == 1
        self._waits_for = next(
            (hook for hook in hooks if hook.fields.name == self.fields.after),
            None)
        self.session = Session(self.fields, self._log, self._is_alone)
        if runner.iter > 0:
            if self.fields.name == FIRST:
                forget_absent(runner, [hook.fields.name for hook in hooks])
            self.session.resume(runner, self._saved)

    def _build(self, runner: Runner) -> None:
        """Build the teacher and attach, last of all in ``before_train``.

        ``before_run`` would be too early: it is also called for a validation,
        and comes before ``init_weights``. An ``EMAHook`` copies the model
        there, and would copy the forward hooks with it.
        """
        self.session.build(runner)
        if self._waits_for is not None:
            warn_of_no_turn(runner, self, self._waits_for)

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: Any = None) -> None:
        """Take this iteration's strength, or stop where it is due."""
        session = self.session
        if runner.iter >= session.asks_from:
            session.end_if_due(runner)
        if session.distiller is None:
            return
        if self._waits_for is not None and self._waits_for.session.is_open:
            self._has_waited = True
            session.distiller.step(runner.iter, strength=0.)
            return
        if self._has_waited:
            self._has_waited = False
            session.scalars.restart_smoothed(runner.message_hub, 0)
        session.distiller.step(runner.iter)
        for name, value in session.distiller.scalars().items():
            runner.message_hub.update_scalar(f'{session.scalars.state}{name}',
                                             value)

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: Optional[dict] = None) -> None:
        """Check what the step gave; let the stop rule see training losses."""
        session = self.session
        if session.distiller is None:
            if self._is_alone:
                session.tell_step_time(runner)
            return
        if not session.distiller.is_reached:
            refuse_unreached(runner)
        outputs = outputs or {}
        if not self._is_alone:
            outputs = session.without_others(outputs)
        if _is_finite(runner, outputs):
            session.finite.were_finite = True
        else:
            session.finite.check(runner, outputs,
                                 session.distiller.loss_is_a_sum)
        session.after_look(runner)

    def after_val_epoch(self,
                        runner: Runner,
                        metrics: Optional[Dict[str, float]] = None) -> None:
        """Record the validation and let the stop rule decide."""
        if self.session is not None:
            self.session.after_validation(runner, metrics)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Save what was learned and decided, also once that is over."""
        state = self.session.state_dict() if self.session else {}
        if state:
            checkpoint[self.fields.name] = state

    def after_train(self, runner: Runner) -> None:
        """Leave the model as it was found."""
        self.session.close(runner)
        self.session.tell_verdict()
        if self.fields.name == FIRST:
            # TimeToTargetHook tells the same.
            tell_next_command(runner, unless=TimeToTargetHook)


def _is_finite(runner: Runner, outputs: dict) -> bool:
    """Whether the losses and the gradient of a step are finite.

    It looks only at numbers that MMEngine has brought to the host already,
    so nothing waits for the device.
    """
    scalars = runner.message_hub.log_scalars
    grad = getattr(runner.optim_wrapper, 'grad_name', 'grad_norm')
    names = [f'train/{key}' for key in outputs if 'loss' in key]
    if not all(name in scalars for name in names):
        return False
    if f'train/{grad}' in scalars:
        names.append(f'train/{grad}')
    return all(math.isfinite(scalars[name].current()) for name in names)
