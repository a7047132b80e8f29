# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""How the groups of a report are told apart, with color and without."""
from typing import Dict, List, NamedTuple

from .chart_data import TEACHER
from .content import Report

__all__ = ['Look', 'looks', 'swatch']

_COLORS = 7  # --g0 of the baseline, --g1 to --g7: page.css has them
_DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3])
#: Vega's name of a marker -> its outline, for the legend.
_SHAPES = {
    'circle': 'M13 6a4 4 0 1 0 8 0a4 4 0 1 0 -8 0',
    'square': 'M13.5 2.5h7v7h-7z',
    'triangle-up': 'M17 1.5L21.5 9.5H12.5z',
    'diamond': 'M17 1L21.5 6L17 11L12.5 6z',
    'cross': 'M15.5 2h3v2.5h2.5v3h-2.5v2.5h-3v-2.5h-2.5v-3h2.5z'
}


class Look(NamedTuple):
    """Color, dashes and marker of a group: no two groups have all alike."""
    color: str
    dash: List[int]
    shape: str


def looks(report: Report) -> Dict[str, Look]:
    """Name of a group -> its look; of the teachers' trainings too."""
    found: Dict[str, Look] = {}
    shapes, others = list(_SHAPES), 0
    for group in report.groups:
        if group.is_baseline:
            found[group.name] = Look('var(--g0)', _DASHES[0], shapes[0])
            continue
        found[group.name] = Look(f'var(--g{others % _COLORS + 1})',
                                 _DASHES[others // _COLORS % len(_DASHES)],
                                 shapes[(others + 1) % len(shapes)])
        others += 1
    found[TEACHER] = Look('var(--teacher)', [4, 3], 'diamond')
    return found


def swatch(look: Look) -> str:
    """A piece of a line with its marker, for a legend."""
    dash = ' '.join(map(str, look.dash)) if look.dash != [1, 0] else 'none'
    return (f'<svg viewBox="0 0 34 12" aria-hidden="true"><path d="M1 6H33" '
            f'stroke="{look.color}" stroke-width="2.4" '
            f'stroke-dasharray="{dash}"/><path d="{_SHAPES[look.shape]}" '
            f'fill="{look.color}"/></svg>')
