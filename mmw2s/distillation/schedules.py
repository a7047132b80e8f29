# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""*How strongly* a run distills, and when: values that follow its iterations.

A schedule gives the strength of the distillation or the temperature of a loss.
"""
import logging
import math
import sys
from abc import ABCMeta, abstractmethod
from numbers import Real
from typing import Any, Mapping, Optional, Sequence

from mmengine.logging import print_log

from mmw2s.registry import SCHEDULES
from mmw2s.utils.fields import check_choice, check_number
from mmw2s.utils.text import plural

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


@SCHEDULES.register_module()
class Constant(Schedule):
    """The same value in all iterations.

    Args:
        value (float): The value.

    Raises:
        ValueError: If ``value`` is negative or not finite.

    Examples:
        >>> schedule = dict(type='Constant', value=0.5)
    """

    span = 0.

    def __init__(self, value: float) -> None:
        super().__init__()
        self._check(value=value)
        self._value = float(value)

    def value(self, iter: int) -> float:
        return self._value

    def zero_from(self) -> Optional[int]:
        return 0 if self._value == 0 else None


@SCHEDULES.register_module()
class Within(Schedule):
    """1 within a span of the run, and 0 before and after it.

    With it as the ``schedule`` of the entries of ``distill``, they take turns:
    features first and scores later, for example.

    Args:
        begin (float): When the span begins. Defaults to 0.
        end (float, optional): When it ends; the iteration ``end`` is the first
            after it. Defaults to None: never.
        unit (str): Unit of the two: 'epoch', 'iter' or 'run' (a share of the
            run). Defaults to 'epoch'.

    Raises:
        ValueError: If ``end`` is not after ``begin``.

    Examples:
        >>> schedule = dict(type='Within', begin=0.1, end=0.2, unit='run')
    """

    def __init__(self,
                 begin: float = 0.,
                 end: Optional[float] = None,
                 unit: str = 'epoch') -> None:
        super().__init__(unit)
        self._check_spans(begin=begin)
        if end is not None:
            self._check_spans(end=end)
            if end <= begin:
                raise ValueError('Within.end should be after begin, but got '
                                 f'begin={begin}, end={end}')
        self.begin, self.end = begin, end

    @property
    def span(self) -> float:
        return self.begin if self.end is None else self.end

    @property
    def is_over_after_span(self) -> bool:
        return self.end is not None

    def top_iter(self) -> int:
        return self._iters(self.begin)

    def value(self, iter: int) -> float:
        is_over = self.end is not None and iter >= self._iters(self.end)
        return float(iter >= self._iters(self.begin) and not is_over)

    def zero_from(self) -> Optional[int]:
        return None if self.end is None else self._iters(self.end)


class _Ramp(Schedule):
    """``start`` up to ``begin``, then a change to ``end``, then ``end``.

    Iteration ``begin`` is the last with ``start``, and iteration
    ``begin + length`` the first with ``end``.

    Args:
        start (float): First value.
        end (float): Last value.
        begin (float): When the change begins. Defaults to 0.
        length (float, optional): How long the change takes. Defaults to None:
            up to the end of the run.
        unit (str): Unit of ``begin`` and ``length``: 'epoch', 'iter' or 'run'
            (a share of the run). Defaults to 'epoch'.
    """

    def __init__(self,
                 start: float,
                 end: float,
                 begin: float = 0.,
                 length: Optional[float] = None,
                 unit: str = 'epoch') -> None:
        super().__init__(unit)
        self._check(start=start, end=end)
        self._check_spans(begin=begin)
        if length is not None:
            self._check_spans(length=length)
        self.start = float(start)
        self.end = float(end)
        self.begin = begin
        self.length = length

    @property
    def span(self) -> float:
        return self.begin + (self.length or 0.)

    def _end_iter(self) -> int:
        if self.length is None:
            return max(self._max_iters or 0, self._iters(self.begin))
        return self._iters(self.span)

    def value(self, iter: int) -> float:
        begin, end = self._iters(self.begin), self._end_iter()
        if iter >= end:
            return self.end
        if iter <= begin:
            return self.start
        share = self._left((iter - begin) / (end - begin))
        return self.end + (self.start - self.end) * share

    def top_iter(self) -> int:
        return self._end_iter() if self.end > self.start else 0

    def zero_from(self) -> Optional[int]:
        end = self._end_iter()
        if self.end != 0:
            return None
        return 0 if self.start == 0 else end

    @staticmethod
    @abstractmethod
    def _left(progress: float) -> float:
        """The share of the change that is left, from 1 to 0.

        Args:
            progress (float): Progress of the change, from 0 to 1.
        """


@SCHEDULES.register_module()
class Linear(_Ramp):
    """A linear change from ``start`` to ``end``.

    The value is ``start`` up to ``begin``, and ``end`` after the change.

    Args:
        start (float): First value.
        end (float): Last value.
        begin (float): When the change begins. Defaults to 0.
        length (float, optional): How long the change takes. Defaults to None:
            up to the end of the run.
        unit (str): Unit of ``begin`` and ``length``: 'epoch', 'iter' or 'run'
            (a share of the run). Defaults to 'epoch'.

    Examples:
        >>> schedule = dict(
        >>>     type='Linear', start=1., end=0., length=0.5, unit='run')
    """

    @staticmethod
    def _left(progress: float) -> float:
        return 1 - progress


@SCHEDULES.register_module()
class Cosine(_Ramp):
    """A change from ``start`` to ``end`` along half a cosine.

    Its fields are those of :class:`Linear`.

    Examples:
        >>> temperature = dict(type='Cosine', start=4., end=1., length=12)
    """

    @staticmethod
    def _left(progress: float) -> float:
        # Equals (1 + cos(pi x)) / 2, but is exact near 0.
        return math.sin(math.pi / 2 * (1 - progress))**2


@SCHEDULES.register_module()
class WarmupHoldDecay(Schedule):
    """Warm-up, stable and decay phase (WSD).

    The value rises to ``peak`` in the warm-up, stays there in the stable
    phase, and falls to 0 in the decay. A warm-up of n iterations has the
    values peak * 1 / (n + 1), ..., peak * n / (n + 1), so that none of them is
    wasted on 0. A linear decay has these values in reverse.

    Args:
        warmup (float): Length of the warm-up. Defaults to 0.
        hold (float, optional): Length of the stable phase. None means that
            the peak is held until a stop rule ends the distillation, without
            a decay. Defaults to None.
        decay (float): Length of the decay. Defaults to 0.
        peak (float): Value in the stable phase. Defaults to 1.0.
        unit (str): Unit of the three lengths: 'epoch', 'iter' or 'run' (a
            share of the run). Defaults to 'epoch'.
        shape (str): Shape of the decay: 'linear' or 'cosine'. Defaults to
            'linear'.

    Raises:
        ValueError: If the shape is unknown, or there is a decay but no
            ``hold``.

    Examples:
        >>> schedule = dict(
        >>>     type='WarmupHoldDecay', warmup=0.02, hold=0.3, decay=0.1,
        >>>     unit='run')
    """

    _SHAPES = dict(linear=Linear._left, cosine=Cosine._left)

    def __init__(self,
                 warmup: float = 0.,
                 hold: Optional[float] = None,
                 decay: float = 0.,
                 peak: float = 1.0,
                 unit: str = 'epoch',
                 shape: str = 'linear') -> None:
        super().__init__(unit)
        self._check(peak=peak)
        self._check_spans(warmup=warmup, decay=decay)
        if hold is not None:
            self._check_spans(hold=hold)
        elif decay > 0:
            raise ValueError(
                'WarmupHoldDecay with hold=None keeps its peak until a stop '
                f'rule ends it, but got decay={decay}: give hold a length, or '
                'leave decay out')
        check_choice('WarmupHoldDecay.shape', shape, self._SHAPES)
        self.warmup = warmup
        self.hold = hold
        self.decay = decay
        self.peak = float(peak)
        self._left = self._SHAPES[shape]

    @property
    def span(self) -> float:
        return self.warmup + (self.hold or 0.) + self.decay

    @property
    def is_over_after_span(self) -> bool:
        return self.hold is not None  # otherwise the peak goes on

    def top_iter(self) -> int:
        return self._iters(self.warmup)

    def value(self, iter: int) -> float:
        top = self._iters(self.warmup)
        if iter < top:
            return self.peak * (iter + 1) / (top + 1)
        if self.hold is None:
            return self.peak
        down = self._iters(self.warmup + self.hold)
        end = self._iters(self.span)
        if iter < down:
            return self.peak
        if iter < end:
            return self.peak * self._left((iter - down + 1) / (end - down + 1))
        return 0.

    def zero_from(self) -> Optional[int]:
        end = self._iters(self.span)
        if self.peak == 0:
            return 0
        return None if self.hold is None else end
