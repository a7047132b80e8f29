# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import math
from typing import Any, Dict, Mapping, Optional, Sequence

from mmw2s.utils.fields import check_number

__all__ = ['StopRule']


class StopRule:
    """Base class of the stop rules.

    Args:
        latest (float, optional): Share of the run (0 to 1) after which the
            distillation ends at the latest. Defaults to None: no limit.

    Raises:
        ValueError: If ``latest`` is not above 0 and at most 1.

    Examples:
        >>> @STOP_RULES.register_module()
        >>> class Below(StopRule):
        >>>     needs_validation = True
        >>>
        >>>     def after(self, row):
        >>>         if row['event'] == 'val' and row['metrics']['loss'] < 1:
        >>>             return 'the validation loss is below 1'
    """

    #: Whether the rule decides on validations.
    needs_validation = False
    #: Whether the teacher has to be scored before training.
    needs_teacher_score = False
    #: The rule is given the losses of student and teacher on a training batch
    #: every so many iterations; None for never.
    train_loss_interval: Optional[int] = None
    #: Key of the entry of ``distill`` whose ``stop`` it is, such as
    #: ``'loss_kd_fpn'``. None: it ends the whole distillation.
    entry: Optional[str] = None

    def __init__(self, latest: Optional[float] = None) -> None:
        if latest is not None:
            check_number(
                f'{type(self).__name__}.latest (a share of the run)',
                latest,
                above=0,
                at_most=1)
        self.latest = latest
        self._latest_iter: Optional[int] = None

    def bind(self,
             max_iters: int,
             iters_per_epoch: float,
             teacher_metrics: Optional[Mapping[str, float]] = None) -> None:
        """Set what is known only when training begins.

        Args:
            max_iters (int): Number of iterations of the run.
            iters_per_epoch (float): Number of iterations of an epoch.
            teacher_metrics (Mapping[str, float], optional): Metric -> the
                teacher's score, if ``needs_teacher_score``.
        """
        if self.latest is not None:
            self._latest_iter = math.ceil(self.latest * max_iters)

    def check_metrics(self, names: Sequence[str]) -> None:
        """Refuse metrics that do not allow a decision.

        It is called early in the scoring of the teacher, which takes long.

        Args:
            names (Sequence[str]): Names of the metrics for the first images.
                For all images there may be more metrics.

        Raises:
            ValueError: If no decision is possible. The message says which
                field to set.
        """

    def at(self, iteration: int) -> Optional[str]:
        """The reason to stop after so many iterations, or None.

        Args:
            iteration (int): Number of complete iterations.
        """
        if self._latest_iter is not None and iteration >= self._latest_iter:
            return (f'{self.latest:.0%} of the run is over, the latest point '
                    'that was set')
        return None

    def ends_at(self) -> Optional[int]:
        """The iteration at which the rule stops at the latest, if known."""
        return self._latest_iter

    def condition(self) -> Optional[str]:
        """In words, what may make the rule stop sooner, if anything does."""
        if type(self).after is StopRule.after:
            return None
        return f'{type(self).__name__} says so'

    def after(self, row: Dict[str, Any]) -> Optional[str]:
        """The reason to stop after a new row of the record, or None.

        Args:
            row (dict): The row; ``row['event']`` says what it is.
        """
        return None

    def scores(self) -> Dict[str, Any]:
        """``metric``, ``student`` and ``teacher`` of the last comparison."""
        return {}
