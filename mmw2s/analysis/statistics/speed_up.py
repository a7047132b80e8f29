# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""How many times sooner runs reach a target, in pairs of the same seed."""
import math
from typing import Dict, Hashable, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from mmw2s.utils.fields import check_integer, check_number
from .reach import MedianReach, Reach, median_reach

__all__ = ['FEWEST_SEEDS', 'SpeedUp', 'paired_speed_up']

#: With fewer pairs no interval is given.
FEWEST_SEEDS = 3

#: Least and largest value that a number may have.
Range = Tuple[float, float]


class SpeedUp(NamedTuple):
    """The median over seeds of the baseline's cost divided by the other's.

    Attributes:
        ratios (dict): Seed -> the range of the ratio. Its two ends are equal
            where both runs reached the target; the upper one is infinite
            where the baseline never did, the lower one 0 where the other
            never did.
        median (Tuple[float, float]): The range of the median ratio.
        interval (Tuple[float, float], optional): Bootstrap interval of the
            median, over the seeds. None with fewer than three pairs.
        level (float): The interval's nominal level.
        baseline, other (MedianReach): The two medians.
    """
    ratios: Dict[Hashable, Range]
    median: Range
    interval: Optional[Range]
    level: float
    baseline: MedianReach
    other: MedianReach

    @property
    def covers_at_most(self) -> float:
        """How often an interval of so few pairs can cover the true median.

        All n pairs are on one side of it with a probability of 2^(1 - n), and
        the bootstrap never looks beyond the pairs that it has.
        """
        return min(self.level, 1 - 2.**(1 - len(self.ratios)))

    @property
    def is_faster(self) -> bool:
        """Whether the whole interval is above 1."""
        return self.interval is not None and self.interval[0] > 1

    @property
    def is_open(self) -> bool:
        """Whether runs that never got there leave an end of the interval
        open."""
        return self.interval is not None and (self.interval[0] == 0
                                              or math.isinf(self.interval[1]))

    @property
    def note(self) -> str:
        """What limits the interval, in words; empty if nothing."""
        count = len(self.ratios)
        if count < FEWEST_SEEDS:
            return (f'{count} of at least {FEWEST_SEEDS} seeds: too few for '
                    'an interval')
        if self.covers_at_most < self.level:
            return (f'{count} seeds: the interval covers the median in '
                    f'{self.covers_at_most:.0%} of all studies at most, not '
                    f'in {self.level:.0%}')
        return ''

    def __str__(self) -> str:
        low, high = self.median
        if low == 0 and math.isinf(high):
            text = 'not known'
        elif low == 0:
            text = f'< {high:.2f}x'
        elif math.isinf(high):
            text = f'>= {low:.2f}x'
        else:
            text = f'{low:.2f}x' if low == high else \
                f'{low:.2f}x to {high:.2f}x'
        if self.interval is None:
            return text
        return f'{text} ({self.interval[0]:.2f} to {self.interval[1]:.2f})'


def paired_speed_up(baseline: Mapping[Hashable, Reach],
                    other: Mapping[Hashable, Reach],
                    level: float = .95,
                    resamples: int = 10_000,
                    seed: int = 0) -> SpeedUp:
    """Compare two arms in pairs of the same seed.

    A run that never reached the target is not dropped: it would have needed
    more than it has spent, which bounds its ratio from one side. The median of
    such ratios lies between the median of their lower ends and that of their
    upper ends.

    The interval is that of the percentile bootstrap over pairs: its lower end
    is of the medians of the lower ends, its upper end of those of the upper
    ends.

    Args:
        baseline (Mapping): Seed -> time to the target of the baseline.
        other (Mapping): The same of the other arm. Seeds of one side alone
            are left out.
        level (float): Level of the interval. Defaults to 0.95.
        resamples (int): Number of bootstrap samples. Defaults to 10000.
        seed (int): Of the bootstrap. Defaults to 0.

    Returns:
        SpeedUp: Above 1 if the other arm is faster.

    Raises:
        ValueError: If no seed is on both sides, a time is not positive, or
            the two count differently (``Reach.kind``).

    Examples:
        >>> print(paired_speed_up({0: Reach(6, True)}, {0: Reach(4, True)}))
        1.50x
    """
    check_number('level', level, above=0, below=1)
    check_integer('resamples', resamples, at_least=1)
    seeds = [one for one in baseline if one in other]
    if not seeds:
        raise ValueError(
            'pairs need a seed that both sides have, but the baseline has '
            f'{_listed(baseline)}, the other {_listed(other)}')
    pairs = [(baseline[one], other[one]) for one in seeds]
    kinds = {one.kind for pair in pairs for one in pair}
    if len(kinds) > 1:
        raise ValueError('times should be counted in one way, but got '
                         f'{" and ".join(sorted(kinds))}')
    ratios = dict(zip(seeds, (_ratio(*pair) for pair in pairs)))
    lows, highs = (np.array(ends) for ends in zip(*ratios.values()))
    interval = None
    if len(seeds) >= FEWEST_SEEDS:
        drawn = np.random.default_rng(seed).integers(
            len(seeds), size=(resamples, len(seeds)))
        tail = (1 - level) / 2
        # Without interpolation: there may be infinite medians among them.
        interval = tuple(
            float(
                np.quantile(
                    np.median(ends[drawn], axis=1), at, method='inverted_cdf'))
            for ends, at in ((lows, tail), (highs, 1 - tail)))
    sides: List[MedianReach] = [median_reach(side) for side in zip(*pairs)]
    return SpeedUp(ratios, (float(np.median(lows)), float(np.median(highs))),
                   interval, level, *sides)


def _ratio(baseline: Reach, other: Reach) -> Range:
    for one in (baseline, other):
        if not one.value > 0:
            raise ValueError('a time to a target should be above 0, but got '
                             f'{one.value!r}')
    ratio = baseline.value / other.value
    return (ratio if other.reached else 0.,
            ratio if baseline.reached else math.inf)


def _listed(sides: Mapping) -> str:
    return ', '.join(map(str, sides)) or 'none'
