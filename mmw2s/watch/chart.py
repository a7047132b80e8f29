# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A run's curve so far against its teacher's score, in characters."""
from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from .progress import RunProgress

__all__ = ['Cell', 'Scale', 'draw']

# Dots of a braille character, by row and column.
_BRAILLE = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])


class Scale(NamedTuple):
    """Maps iterations and scores to the range from 0 to 1.

    A curve grows to the right as the run goes on: the right side is the end
    of the run.
    """
    end: float
    low: float
    high: float

    @classmethod
    def of(cls, run: RunProgress) -> 'Scale':
        """The scale of a run that has a curve."""
        scores = [point.score for point in run.curve]
        if run.teacher is not None:
            scores.append(run.teacher)
        return cls(
            max(run.max_iters or 0, run.curve[-1].iteration, 1), min(scores),
            max(scores))

    def x(self, iteration: float) -> float:
        """From 0, the start, to 1, the end."""
        return min(iteration / self.end, 1.)

    def y(self, value: float) -> float:
        """From 0, the lowest score, to 1, the highest."""
        if self.high == self.low:
            return .5
        return (value - self.low) / (self.high - self.low)


class Cell(NamedTuple):
    """A character, and whether the curve goes through it."""
    text: str
    is_curve: bool


def draw(run: RunProgress,
         width: int,
         height: int,
         ascii_only: bool = False) -> List[List[Cell]]:
    """Draw the curve, and the teacher's score as a dotted line.

    Args:
        run (RunProgress): The run.
        width (int): Number of characters in a line.
        height (int): Number of lines.
        ascii_only (bool): Draw with ``*`` and ``-`` instead of braille, which
            has eight dots in a character. Defaults to False.

    Returns:
        list[list[Cell]]: The lines; none before the first validation.
    """
    if not run.curve:
        return []
    down, across = (1, 1) if ascii_only else _BRAILLE.shape
    rows, columns = height * down, width * across
    scale = Scale.of(run)
    curve, level = np.zeros((2, rows, columns), dtype=bool)
    last: Optional[int] = None
    for column, row in _dots(run, scale, rows, columns):
        # Filled from beside the dot before, so that a steep line has no gaps.
        beside = row if last is None else last + np.sign(row - last)
        begin, end = sorted((row, beside))
        curve[begin:end + 1, column] = True
        last = row
    if run.teacher is not None:
        level[_row(scale, run.teacher, rows), ::3] = True
    return [[
        _cell(curve[i:i + down, j:j + across], level[i:i + down, j:j + across])
        for j in range(0, columns, across)
    ] for i in range(0, rows, down)]


def _dots(run: RunProgress, scale: Scale, rows: int,
          columns: int) -> Sequence[Tuple[int, int]]:
    """Column and row of each dot of the curve, from left to right."""
    at = [scale.x(point.iteration) * (columns - 1) for point in run.curve]
    first, last = round(at[0]), round(at[-1])
    scores = np.interp(
        range(first, last + 1), at, [point.score for point in run.curve])
    return [(column, _row(scale, value, rows))
            for column, value in enumerate(scores, first)]


def _row(scale: Scale, value: float, rows: int) -> int:
    return round((1 - scale.y(value)) * (rows - 1))


def _cell(curve: np.ndarray, level: np.ndarray) -> Cell:
    if curve.size == 1:
        return Cell('*' if curve.any() else '-' if level.any() else ' ',
                    bool(curve.any()))
    code = int(_BRAILLE[curve | level].sum())
    return Cell(chr(0x2800 + code) if code else ' ', bool(curve.any()))
