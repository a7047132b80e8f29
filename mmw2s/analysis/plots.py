# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Learning curves of a comparison, against epochs and against time."""
from statistics import median
from typing import List, Tuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .comparison import Comparison
from .run import Run, time_unit

__all__ = ['plot_curves']

# Okabe and Ito's palette: told apart with every kind of colour vision.
BASELINE, W2S, TEACHER, GREY = '#0072B2', '#D55E00', '#009E73', '#808080'


class _Curves:
    """The points of runs on one panel.

    Args:
        metric (str): The metric on the y axis.
        unit (str): The key of a row that is the x axis.
        scale (float): What x is divided by.
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
        """Medians over runs where all of them were validated."""
        curves = [self.points(run) for run in runs]
        shared = sorted(set.intersection(*(set(c[0]) for c in curves)))
        index = [[c[0].index(i) for c in curves] for i in shared]
        return tuple(
            [median(c[part][k] for c, k in zip(curves, ks)) for ks in index]
            for part in (1, 2))

    def draw(self, ax, runs: List[Run], color: str, label: str) -> None:
        """One line for a run; for several, thin ones and a bold median."""
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
        """Mark on each run's own curve where its distillation ended."""
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
        result (Comparison): What to draw.
        path (str): Where to write the picture, e.g. ``curves.png``.
        epochs_only (bool): Whether the wall clock is left out, as where other
            jobs ran on the machine. Defaults to False.
    """
    metric = result.metric
    time = time_unit(result.baselines + result.w2s)
    panels = {'epoch': _Curves(metric, 'epoch')}
    if not epochs_only:
        panels[f'wall clock, validation included ({time.name})'] = _Curves(
            metric, 'wall_seconds', time.seconds)
    figure = Figure(
        figsize=(7.5 if epochs_only else 11, 4.8), layout='constrained')
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
        curves.draw(ax, result.baselines, BASELINE, 'baseline')
        curves.draw(ax, result.w2s, W2S, 'weak-to-strong')
        curves.draw_switch_off(ax, result.w2s)
        ax.set_xlabel(x_label)
        ax.set_xlim(left=0)
        ax.spines[['top', 'right']].set_visible(False)
        ax.grid(axis='x', color='0.92')
        ax.set_axisbelow(True)
    axes[0].set_ylabel(metric)
    for target in result.targets:
        axes[-1].annotate(
            f'{target.value:.3g}', (1, target.value),
            xycoords=('axes fraction', 'data'),
            xytext=(3, 0),
            textcoords='offset points',
            va='center',
            fontsize=8,
            color=GREY)
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc='outside upper center',
        ncols=2 if epochs_only else 4,
        frameon=False)
    figure.savefig(path, dpi=150)
