# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Speed-ups of settings against the scores of their teachers."""
from itertools import cycle
from typing import TYPE_CHECKING, Optional

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmw2s.records.operating_band import HIGH, LOW
from .comparison import Comparison
from .run import UNITS

if TYPE_CHECKING:
    from .settings import SettingsTable

__all__ = ['plot_teacher_strength', 'teacher_share']


def teacher_share(result: Comparison) -> Optional[float]:
    """The teacher's score as a share of the baselines' best, see
    :func:`~mmw2s.records.operating_band.judge_teacher`; None if unknown."""
    judged = result.judge_teacher()
    return judged and judged.share


def plot_teacher_strength(result: 'SettingsTable', path: str) -> None:
    """Draw the speed-up of each setting against its teacher's score.

    Args:
        result (SettingsTable): Settings with different teachers.
        path (str): File to write.

    Raises:
        ValueError: If no setting has a teacher with a known score.
    """
    figure = Figure(figsize=(7, 4.2), layout='constrained')
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    ordered = sorted(
        (c
         for c in result.comparisons.values() if teacher_share(c) is not None),
        key=teacher_share)
    if not ordered:
        raise ValueError('none of these runs tells its teacher\'s score: '
                         'there is nothing to draw it against')
    # Five colors and six markers make thirty different pairs.
    colors = cycle(('#0072B2', '#009E73', '#D55E00', '#CC79A7', '#E69F00'))
    for i, (target, color, marker) in enumerate(
            zip(result.first.targets, colors, cycle('osD^vP'))):
        points = [(teacher_share(c), c.speedup(c.targets[i], result.unit))
                  for c in ordered]
        points = [(x, up) for x, up in points if up.value is not None]
        ax.plot([x for x, _ in points], [up.value for _, up in points],
                color=color,
                marker=marker,
                label=f'to {target.label}')
        for x, up in points:
            ax.annotate(
                up.bound,
                (x, up.value),  # '<' or '>' if a group never reached it
                xytext=(5, 4),
                textcoords='offset points',
                color=color)
    ax.axhline(1, color='#808080', linewidth=1)
    ax.axvspan(LOW, HIGH, color='#808080', alpha=.12, linewidth=0)
    ax.set_xlabel(f"teacher's {result.first.metric} / baseline's best "
                  f'(shaded: {LOW:g} to {HIGH:g})')
    ax.set_ylabel(f'speed-up in {UNITS[result.unit]} (medians)')
    ax.spines[['top', 'right']].set_visible(False)
    ax.legend(frameon=False)
    figure.savefig(path, dpi=150)
