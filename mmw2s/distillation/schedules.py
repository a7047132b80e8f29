# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""How strongly, and when: values that follow the iterations of a run.

They serve for the global strength of the distillation and for a loss's
temperature.
"""
import logging
import math
import sys
from abc import ABCMeta, abstractmethod
from numbers import Real
from typing import Any, Optional, Sequence

from mmengine.logging import print_log

from mmw2s.registry import SCHEDULES
from mmw2s.utils.fields import check_choice, check_number
from mmw2s.utils.text import plural

UNITS = ('epoch', 'iter', 'run')


class Schedule(metaclass=ABCMeta):
    """A value for each iteration, a pure function of the iteration.

    Nothing needs to be saved for a run to be resumed; a temperature that
    learns (:meth:`update`) has a ``state_dict`` and ``load_state_dict``. Spans
    are given in epochs, in iterations or as a share of the whole run (0 to 1),
    and turn into iterations, rounded, once :meth:`bind` says how long it is.

    Args:
        unit (str): Unit of the spans: 'epoch', 'iter' or 'run'. Defaults to
            'epoch'.

    Raises:
        ValueError: If a field is not a finite number >= 0, or the unit is
            unknown.
    """

    def __init__(self, unit: str = 'epoch') -> None:
        check_choice(f'{type(self).__name__}.unit', unit, UNITS)
        self.unit = unit
        self._max_iters: Optional[int] = None

    def bind(self, max_iters: int, iters_per_epoch: float) -> None:
        """Take the length of the run; called once, before training.

        Warns when the schedule is longer than the run, spans no iteration,
        or is over within the first of several epochs.

        Args:
            max_iters (int): Iterations of the whole run.
            iters_per_epoch (float): Iterations of an epoch, a fraction
                where it ends inside a batch.

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
        """From the start of the run to the last change, in ``unit``."""

    @property
    def is_over_after_span(self) -> bool:
        """Whether what it is there for has been done by then."""
        return True

    def top_iter(self) -> int:
        """The iteration by which it has risen to its highest value."""
        return 0

    @abstractmethod
    def value(self, iter: int) -> float:
        """The value in an iteration, counted from 0.

        Raises:
            RuntimeError: If the schedule is not bound to a run.
        """

    @abstractmethod
    def zero_from(self) -> Optional[int]:
        """The first iteration from which the value is 0 for good.

        It may lie beyond the end of the run; None if there is none.

        Raises:
            RuntimeError: If the schedule is not bound to a run.
        """

    def update(self, iter: int, pairs: Sequence[Any]) -> None:
        """See what the loss whose temperature this is has just compared."""

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
    """The same value all along.

    Args:
        value (float): The value.
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


class _Ramp(Schedule):
    """``start`` until ``begin``, then a way to ``end``, which then stays.

    Iteration ``begin`` still has ``start``, iteration ``begin + length`` is
    the first with ``end``.

    Args:
        start (float): First value.
        end (float): Last value.
        begin (float): When the way begins. Defaults to 0.
        length (float, optional): How long it takes. Defaults to None, what
            is left of the run.
        unit (str): Unit of ``begin`` and ``length``: 'epoch', 'iter' or 'run'
            (a share of it). Defaults to 'epoch'.
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
        """What is left of the way, 1 to 0, when ``progress`` is 0 to 1."""


@SCHEDULES.register_module()
class Linear(_Ramp):
    """A straight line from ``start`` to ``end``, which then stays.

    Its fields are those of the base class: ``start``, ``end``, ``begin``,
    ``length`` (None: what is left of the run) and ``unit``.
    """

    @staticmethod
    def _left(progress: float) -> float:
        return 1 - progress


@SCHEDULES.register_module()
class Cosine(_Ramp):
    """Half a cosine from ``start`` to ``end``, which then stays.

    Its fields are those of :class:`Linear`.
    """

    @staticmethod
    def _left(progress: float) -> float:
        # (1 + cos(pi x)) / 2, in a form that is exact near its end.
        return math.sin(math.pi / 2 * (1 - progress))**2


@SCHEDULES.register_module()
class WarmupHoldDecay(Schedule):
    """Up to a peak, along it, and down to 0.

    A warm-up of n iterations takes the values peak * 1 / (n + 1), ...,
    peak * n / (n + 1), so that no iteration of it is wasted on 0; a linear
    decay takes the same values backwards, and is followed by 0 for good.

    Args:
        warmup (float): How long the warm-up takes. Defaults to 0.
        hold (float, optional): How long the peak is held. None holds it until
            a stop rule ends it; there is no decay then. Defaults to None.
        decay (float): How long the decay takes. Defaults to 0.
        peak (float): Value at the peak. Defaults to 1.0.
        unit (str): Unit of the three spans: 'epoch', 'iter' or 'run' (a share
            of it). Defaults to 'epoch'.
        shape (str): Shape of the decay: 'linear' or 'cosine'. Defaults to
            'linear'.

    Raises:
        ValueError: If the shape is unknown, or a decay is given to a peak
            that is held.
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
        return self.hold is not None  # else only the warm-up is over

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
