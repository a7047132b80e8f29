# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Whether a curve of scores has stopped to rise."""
import math
from typing import Optional, Sequence

__all__ = ['is_flat']


def is_flat(scores: Sequence[Optional[float]],
            rule: str,
            patience: int = 3,
            min_gain: float = 0.02) -> bool:
    """Whether the best of some scores has hardly improved of late.

    The best of all scores is compared with the best of those before the last
    ``patience``. So a single low or high score decides nothing. A best of 0
    is no beginning that a gain could be a share of: such a curve is not flat.

    Args:
        scores (Sequence[float | None]): One a validation, in order. None and
            NaN, of validations without the metric, improve nothing.
        rule (str): 'greater' or 'less': which scores are better.
        patience (int): Number of the last validations that have to gain
            something. Defaults to 3.
        min_gain (float): What they have to gain together, as a share of the
            best before them. Defaults to 0.02.

    Examples:
        >>> is_flat([0.1, 0.3, 0.4, 0.402, 0.39, 0.401], 'greater')
        True
        >>> is_flat([0.1, 0.2, 0.3, 0.31, 0.32, 0.33], 'greater')
        False
    """
    best = max if rule == 'greater' else min
    before, known = ([s for s in part if s is not None and not math.isnan(s)]
                     for part in (scores[:-patience], scores))
    if not before or not best(before):
        return False
    gain = (best(known) - best(before)) / abs(best(before))
    return (gain if rule == 'greater' else -gain) < min_gain
