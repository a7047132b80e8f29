# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Targets written beside their lines, so that none covers another."""
from typing import List, Sequence

from matplotlib import rcParams

__all__ = ['label_targets', 'spread']

_LABEL_SIZE, _LABEL_HEIGHT = 8, 9.5  # in points
_GREY = '#606060'


def label_targets(ax, values: List[float]) -> None:
    """Write each target beside its line.

    Labels that would overlap are moved apart and joined to their lines.
    """
    figure = ax.figure
    figure.draw_without_rendering()  # this sets the size of the axes
    points = 72 / figure.dpi
    wanted = [points * ax.transData.transform((0, v))[1] for v in values]
    order = sorted(range(len(values)), key=wanted.__getitem__)
    placed = spread([wanted[i] for i in order], _LABEL_HEIGHT)
    for i, at in zip(order, placed):
        moved = at - wanted[i]
        ax.annotate(
            f'{values[i]:.4g}', (1, values[i]),
            xycoords=('axes fraction', 'data'),
            xytext=(3 if abs(moved) < 1 else 14, moved),
            textcoords='offset points',
            va='center',
            fontsize=min(_LABEL_SIZE, rcParams['font.size']),
            color=_GREY,
            annotation_clip=False,
            arrowprops=None if abs(moved) < 1 else dict(
                arrowstyle='-',
                color=_GREY,
                linewidth=0.6,
                shrinkA=0,
                shrinkB=0,
                relpos=(0, .5)))


def spread(wanted: Sequence[float], gap: float) -> List[float]:
    """Move positions apart so that all distances are at least ``gap``.

    Args:
        wanted (Sequence[float]): Positions in ascending order.
        gap (float): The smallest distance.

    Returns:
        list[float]: The new positions. Positions that are too close to each
        other form a group, which is centered on their mean.
    """
    groups: List[List[float]] = []
    for position in wanted:
        groups.append([position])
        while len(groups) > 1 and \
                _centred(groups[-1], gap)[0] - \
                _centred(groups[-2], gap)[-1] < gap:
            last = groups.pop()
            groups[-1] += last
    return [at for group in groups for at in _centred(group, gap)]


def _centred(group: List[float], gap: float) -> List[float]:
    middle = sum(group) / len(group)
    first = middle - gap * (len(group) - 1) / 2
    return [first + gap * i for i in range(len(group))]
