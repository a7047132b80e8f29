# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import math
from typing import Optional

__all__ = ['break_even']


def break_even(teacher: float, baseline: float, other: float) -> Optional[int]:
    """How many students pay for the training of their teacher.

    All costs are in one unit of time.

    Args:
        teacher (float): Cost of the teacher's own training.
        baseline (float): What a student costs without it, to a target.
        other (float): What a student costs with it, to the same target.

    Returns:
        int | None: The number; 1 if the first one does already, 0 for a
        teacher that costs nothing. None if a student saves nothing, or has
        not reached the target (infinite).

    Examples:
        >>> break_even(100., 90., 40.)
        2
    """
    saved = baseline - other
    if not saved > 0 or math.isnan(teacher):
        return None
    return math.ceil(teacher / saved)
