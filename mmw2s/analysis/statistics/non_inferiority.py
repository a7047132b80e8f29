# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Whether final scores are not worse than those of the baseline."""
from statistics import mean, variance
from typing import Hashable, Mapping, NamedTuple, Optional, Sequence

from scipy.stats import t

from mmw2s.utils.fields import check_number
from .speed_up import FEWEST_SEEDS

__all__ = ['NonInferiority', 'non_inferiority']


class NonInferiority(NamedTuple):
    """The result of :func:`non_inferiority`.

    Attributes:
        verdict (str): ``'holds'``, ``'does not hold'`` (it was not shown: the
            arm may be worse by more than the margin), ``'too few seeds'`` or
            ``'not known: a run ended without a score'``.
        difference (float, optional): Mean of the other arm's scores minus
            the baseline's of these seeds, above 0 if the other's are better.
            None if a run has no score.
        bound (float, optional): One-sided lower confidence bound of it. None
            with too few seeds, or if a run has no score.
        margin (float): By how much the other may be worse.
        level (float): Level of the bound.
        paired (bool): Whether the scores were compared seed by seed.
        seeds (int): Number of seeds of the smaller side.
    """
    verdict: str
    difference: Optional[float]
    bound: Optional[float]
    margin: float
    level: float
    paired: bool
    seeds: int

    def __str__(self) -> str:
        if self.difference is None:
            return self.verdict
        text = f'{self.verdict} ({self.difference:+.4g}'
        if self.bound is not None:
            text += f', at least {self.bound:+.4g}'
        return f'{text}; margin {self.margin:.4g})'


def non_inferiority(baseline: Mapping[Hashable, Optional[float]],
                    other: Mapping[Hashable, Optional[float]],
                    margin: float,
                    larger_is_better: bool = True,
                    level: float = .95) -> NonInferiority:
    """Test whether final scores are worse by less than a margin.

    The lower bound of the difference is that of a one-sided t interval: of
    the paired test if the baseline has all seeds of the other arm, of which
    those alone count then, otherwise of Welch's. It holds if the bound is
    above minus the margin.

    Args:
        baseline (Mapping): Seed -> final score of the baseline. One of None
            is that of a run that ended without a score, as a run does that
            has diverged. Without it the others would seem to be all.
        other (Mapping): The same of the other arm.
        margin (float): What counts as no loss, in units of the metric; to be
            chosen before the runs. At least 0.
        larger_is_better (bool): Which scores are better. Defaults to True.
        level (float): Level of the bound. Defaults to 0.95.

    Raises:
        ValueError: If a side is empty or a field is out of range.

    Examples:
        >>> scores = {0: .50, 1: .52, 2: .51}
        >>> non_inferiority(scores, scores, margin=.01).verdict
        'holds'
    """
    check_number('margin', margin, at_least=0)
    check_number('level', level, above=0, below=1)
    if not baseline or not other:
        raise ValueError('both sides should have a score, but got '
                         f'{len(baseline)} and {len(other)}')
    if set(other) <= set(baseline):
        # Seeds differ from each other as arms do, so the same are compared.
        baseline = {seed: baseline[seed] for seed in other}
    paired = set(baseline) == set(other)
    sign = 1 if larger_is_better else -1
    seeds = min(len(baseline), len(other))
    if None in (*baseline.values(), *other.values()):
        return NonInferiority('not known: a run ended without a score', None,
                              None, margin, level, paired, seeds)
    sides = [[sign * score for score in side.values()]
             for side in (other, baseline)]
    difference = mean(sides[0]) - mean(sides[1])
    if seeds < FEWEST_SEEDS:
        return NonInferiority('too few seeds', difference, None, margin, level,
                              paired, seeds)
    samples = [[sign * (other[one] - baseline[one])
                for one in baseline]] if paired else sides
    bound = _lower_bound(difference, samples, level)
    verdict = 'holds' if bound > -margin else 'does not hold'
    return NonInferiority(verdict, difference, bound, margin, level, paired,
                          seeds)


def _lower_bound(difference: float, samples: Sequence[Sequence[float]],
                 level: float) -> float:
    """The t bound of a difference of means of samples, or of one of pairs.

    The degrees of freedom are those of Welch and Satterthwaite, which for one
    sample are its size minus 1.
    """
    parts = [variance(one) / len(one) for one in samples]
    if sum(parts) == 0:
        return difference
    freedom = sum(parts)**2 / sum(part**2 / (len(one) - 1)
                                  for part, one in zip(parts, samples))
    return difference - float(t.ppf(level, freedom)) * sum(parts)**.5
