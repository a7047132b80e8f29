# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Learning curves of a comparison, against epochs and against time."""
from statistics import median
from typing import List, Sequence, Tuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .comparison import Comparison
from .run import Run, time_unit

__all__ = ['plot_curves']

_LABEL_SIZE, _LABEL_HEIGHT = 8, 9.5  # in points
_AXES = dict(
    epoch='epoch',
    iter='iteration',
    train_seconds='training time',
    wall_seconds='wall clock, validation included')
# Okabe and Ito's palette, which works for color-blind readers too.
BASELINE, W2S, TEACHER, GREY = '#0072B2', '#D55E00', '#009E73', '#808080'


class _Curves:
    """The points of runs on one panel.

    Args:
        metric (str): The metric on the y axis.
        unit (str): The key of a row that is on the x axis.
        scale (float): Divisor of x. Defaults to 1.
    """

    def __init__(self, metric: str, unit: str, scale: float = 1.) -> None:
        self.metric, self.unit, self.scale = metric, unit, scale

    def points(self, run: Run) -> Tuple[list, list, list]:
        """Iterations, x and y of a run."""
        rows = run.rows(self.metric)
        return ([r['iter']
                 for r in rows], [r[self.unit] / self.scale for r in rows],
                [r['metrics'][self.metric] for r in rows])

    def median(self, runs: List[Run]) -> Tuple[list, list]:
        """Medians over runs, at iterations where all runs were validated."""
        curves = [self.points(run) for run in runs]
        shared = sorted(set.intersection(*(set(c[0]) for c in curves)))
        index = [[c[0].index(i) for c in curves] for i in shared]
        return tuple(
            [median(c[part][k] for c, k in zip(curves, ks)) for ks in index]
            for part in (1, 2))

    def draw(self, ax, runs: List[Run], color: str, label: str) -> None:
        """Draw one run as a line; several as thin lines and a bold median."""
        several = len(runs) > 1
        for i, run in enumerate(runs):
            _, x, y = self.points(run)
            ax.plot(
                x,
                y,
                color=color,
                linewidth=0.8 if several else 2,
                alpha=0.55 if several else 1,
                # a lone validation is a point, not a line
                marker='.' if len(x) == 1 else None,
                label=None if several or i else label)
        if several:
            ax.plot(
                *self.median(runs),
                color=color,
                linewidth=2.4,
                label=f'{label}, median of {len(runs)} seeds')

    def draw_switch_off(self, ax, runs: List[Run]) -> None:
        """Mark the end of the distillation on the curve of each run."""
        marks = []
        for run in runs:
            iters, x, y = self.points(run)
            if run.stop and 'iter' in run.stop and iters:
                at = run.stop['iter']
                marks.append((np.interp(at, iters, x), np.interp(at, iters,
                                                                 y)))
        if marks:
            ax.scatter(
                *zip(*marks),
                s=48,
                marker='o',
                facecolor='white',
                edgecolor=W2S,
                linewidth=1.8,
                zorder=5,
                label='distillation switched off')


def plot_curves(result: Comparison,
                path: str,
                epochs_only: bool = False) -> None:
    """Draw the metric against epochs and against the wall clock.

    Args:
        result (Comparison): The comparison.
        path (str): File to write, such as ``curves.png``.
        epochs_only (bool): Whether to leave out the wall clock, for instance
            because other jobs ran on the machine. Defaults to False.
    """
    metric = result.metric
    time = time_unit(result.runs)
    progress, clock = result.progress_unit, result.clock_unit
    panels = {_AXES[progress]: _Curves(metric, progress)}
    if clock and not epochs_only:
        panels[f'{_AXES[clock]} ({time.name})'] = _Curves(
            metric, clock, time.seconds)
    single = len(panels) == 1
    figure = Figure(figsize=(7.5 if single else 11, 4.8), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for ax, (x_label, curves) in zip(axes, panels.items()):
        for target in result.targets:
            ax.axhline(target.value, color=GREY, linestyle=':', linewidth=1)
        score = result.teacher_score()
        if score is not None:
            ax.axhline(
                score,
                color=TEACHER,
                linestyle='--',
                linewidth=1.3,
                label=f'teacher ({score:.3g})')
        curves.draw(ax, result.baseline.runs, BASELINE, 'baseline')
        curves.draw(ax, result.w2s.runs, W2S, 'weak-to-strong')
        curves.draw_switch_off(ax, result.w2s.runs)
        ax.set_xlabel(x_label)
        ax.set_xlim(left=0)
        ax.xaxis.set_major_locator(
            MaxNLocator('auto', steps=(1, 2, 5, 10), integer=True))
        ax.spines[['top', 'right']].set_visible(False)
        ax.grid(axis='x', color='0.92')
        ax.set_axisbelow(True)
    axes[0].set_ylabel(metric)
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc='outside upper center',
        ncols=2 if single else 4,
        frameon=False)
    _label_targets(axes[-1], [target.value for target in result.targets])
    figure.savefig(path, dpi=150)


def _label_targets(ax, values: List[float]) -> None:
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
            fontsize=_LABEL_SIZE,
            color=GREY,
            annotation_clip=False,
            arrowprops=None if abs(moved) < 1 else dict(
                arrowstyle='-',
                color=GREY,
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
