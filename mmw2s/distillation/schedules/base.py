# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import logging
import sys
from abc import ABCMeta, abstractmethod
from numbers import Real
from typing import Any, Mapping, Optional, Sequence

from mmengine.logging import print_log

from mmw2s.utils.fields import check_choice, check_number
from mmw2s.utils.text import plural

__all__ = ['Schedule', 'refuse_no_strength']

UNITS = ('epoch', 'iter', 'run')


def refuse_no_strength(owner: str, schedule: 'Schedule') -> None:
    """Refuse a schedule that is for temperatures alone.

    Args:
        owner (str): The field, for the message.
        schedule (Schedule): What was built from it.

    Raises:
        ValueError: If it needs labels.
    """
    if getattr(schedule, 'needs_target', False):
        raise ValueError(
            f'{owner}={type(schedule).__name__} is no strength: give it to an '
            'entry of distill as its temperature')


class Schedule(metaclass=ABCMeta):
    """Base class of the schedules: a value for each iteration.

    The value is a function of the iteration alone, so a resumed run needs no
    saved state. There are two exceptions. A temperature that learns
    (:meth:`update`) has ``state_dict`` and ``load_state_dict``. A strength
    that follows the run's record (:meth:`see`) is given its rows again. Spans
    are given in epochs, in iterations or as a share of the run (0 to 1).
    :meth:`bind` converts them to iterations, rounded.

    Args:
        unit (str): Unit of the spans: 'epoch', 'iter' or 'run' (a share of the
            run). Defaults to 'epoch'.

    Raises:
        ValueError: If a field is not a finite number >= 0, or the unit is
            unknown.
    """

    #: Whether the value depends on the rows of the run's record.
    follows_rows = False
    #: As in :class:`~.stop_rules.StopRule`.
    needs_validation = False
    needs_teacher_score = False
    train_loss_interval: Optional[int] = None

    def __init__(self, unit: str = 'epoch') -> None:
        check_choice(f'{type(self).__name__}.unit', unit, UNITS)
        self.unit = unit
        self._max_iters: Optional[int] = None

    def bind(self, max_iters: int, iters_per_epoch: float) -> None:
        """Set the length of the run; called once, before training.

        Warns if the schedule is longer than the run, rounds to no iteration,
        or ends within the first of several epochs.

        Args:
            max_iters (int): Number of iterations of the run.
            iters_per_epoch (float): Number of iterations of an epoch. It is a
                fraction if an epoch ends inside a batch.

        Raises:
            ValueError: If one of them is not a positive number, or
                ``max_iters`` not an integer.
        """
        if not (isinstance(max_iters, int) and max_iters > 0):
            raise ValueError('max_iters should be a positive integer, but '
                             f'got {max_iters!r}')
        if not (isinstance(iters_per_epoch, Real) and iters_per_epoch > 0):
            raise ValueError('iters_per_epoch should be a positive number, '
                             f'but got {iters_per_epoch!r}')
        self._max_iters = max_iters
        self._iters_per_unit = dict(
            epoch=iters_per_epoch, iter=1, run=max_iters)[self.unit]
        end = self._iters(self.span)
        needs = (
            f'{type(self).__name__} needs {plural(end, "iteration")} (unit '
            f'{self.unit!r}: {self.span:g}), but ')
        message = None
        if end > max_iters:
            message = (f'{needs}the run has only {max_iters}: it will be cut '
                       "off. Shorten it or train longer; with unit='run' a "
                       'schedule fits any run')
        elif self.span > 0 and end == 0:
            message = f'{needs}nothing fits into that: make it longer'
        elif self.unit != 'run' and self.is_over_after_span and \
                0 < end < iters_per_epoch < max_iters:
            message = (f'{needs}an epoch has {iters_per_epoch:g} and the run '
                       f'{max_iters}: it is over within the first epoch. If '
                       "shares of the run were meant, give unit='run'")
        if message is not None:
            print_log(message, logger='current', level=logging.WARNING)

    @property
    @abstractmethod
    def span(self) -> float:
        """Time from the start of the run to the last change, in ``unit``."""

    @property
    def is_over_after_span(self) -> bool:
        """Whether the schedule has nothing more to do after its span."""
        return True

    def top_iter(self) -> int:
        """The first iteration with the highest value."""
        return 0

    @abstractmethod
    def value(self, iter: int) -> float:
        """The value in an iteration.

        Args:
            iter (int): The iteration, counted from 0.

        Raises:
            RuntimeError: If the schedule is not bound to a run.
        """

    @abstractmethod
    def zero_from(self) -> Optional[int]:
        """The iteration from which on the value is always 0.

        It may lie beyond the end of the run. None if there is none.

        Raises:
            RuntimeError: If the schedule is not bound to a run.
        """

    def check_metrics(self, names: Sequence[str]) -> None:
        """As :meth:`~.stop_rules.StopRule.check_metrics`."""

    def know_teacher(self, metrics: Mapping[str, float]) -> None:
        """Set the teacher's scores, if ``needs_teacher_score``.

        Args:
            metrics (Mapping[str, float]): Metric -> the teacher's score.
        """

    def see(self, row: Mapping[str, Any]) -> None:
        """Take a new row of the run's record, if :attr:`follows_rows`.

        Args:
            row (dict): The row; ``row['event']`` says what it is.
        """

    def update(self, iter: int, pairs: Sequence[Any]) -> None:
        """Learn from the latest pairs of the loss, for a temperature.

        Args:
            iter (int): The iteration, counted from 0.
            pairs (Sequence[Pair]): What the loss has just compared.
        """

    def _iters(self, span: float) -> int:
        if self._max_iters is None:
            raise RuntimeError(f'{type(self).__name__} does not know the '
                               'length of the run yet: call bind() first')
        return round(min(span * self._iters_per_unit, sys.maxsize))

    def _check(self, **fields: float) -> None:
        for name, given in fields.items():
            check_number(f'{type(self).__name__}.{name}', given, at_least=0)

    def _check_spans(self, **spans: float) -> None:
        share = self.unit == 'run'
        for name, given in spans.items():
            check_number(
                f'{type(self).__name__}.{name}' +
                (' (a share of the run)' if share else ''),
                given,
                at_least=0,
                at_most=1 if share else None)
