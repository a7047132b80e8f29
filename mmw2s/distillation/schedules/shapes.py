# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Schedules that follow the iteration alone."""
import math
from abc import abstractmethod
from typing import Optional

from mmw2s.registry import SCHEDULES
from mmw2s.utils.fields import check_choice
from .base import Schedule

__all__ = ['Constant', 'Cosine', 'Linear', 'WarmupHoldDecay', 'Within']


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
