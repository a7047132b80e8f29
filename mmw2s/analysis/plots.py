# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Learning curves of a comparison, against epochs and against time."""
from itertools import cycle
from typing import Dict, List, NamedTuple, Optional, Sequence, Set

from matplotlib import rc_context, rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .comparison import Comparison, Target
from .counted import counted_unit
from .curves import Plane, switched_off_at
from .run import TIME_UNITS, Run, time_unit
from .target_labels import label_targets

__all__ = ['Line', 'Panel', 'plot_curves', 'plot_lines', 'plot_settings']

_AXES = dict(
    epoch='epoch',
    iter='iteration',
    train_seconds='training time',
    wall_seconds='wall clock, validation included')
# Okabe and Ito's palette, which works for color-blind readers too.
BASELINE, W2S, TEACHER, GREY = '#0072B2', '#D55E00', '#009E73', '#808080'
LOOKS = [(color, style) for style in ('-', '--')
         for color in (W2S, '#CC79A7', '#E69F00', '#56B4E9', '#000000')]
_RING = dict(marker='o', facecolor='white', linewidth=1.8)
# Letters, lines and rings as large as a screen wants them, and a paper.
_ON_SCREEN = {'lines.linewidth': 2.2, 'lines.markersize': 6.6}
_IN_PRINT = {
    'font.size': 7,
    'legend.fontsize': 6.5,
    'lines.linewidth': 1.2,
    'lines.markersize': 4.2
}


class Line(NamedTuple):
    """Runs that are drawn in one color.

    Attributes:
        label (str): What they are.
        runs (list[Run]): One a seed.
        color (str): The color.
        teacher (Run, optional): The teacher's own training, whose cost they
            begin at on a panel of time.
        style (str): The style of the median.
    """
    label: str
    runs: List[Run]
    color: str
    teacher: Optional[Run] = None
    style: str = '-'


class Panel(Plane):
    """One panel: draws lines on its axes."""

    def draw(self, ax, line: Line) -> None:
        """Draw one run as a line; several as their median and their range."""
        curve, count = self.curve(line.runs, line.teacher), len(line.runs)
        if not curve.x and count > 1:  # validated at different iterations
            for i, run in enumerate(line.runs):
                self.draw(
                    ax, line._replace(runs=[run], label=line.label * (not i)))
            return
        if count > 1:
            ax.fill_between(
                curve.x,
                curve.low,
                curve.high,
                color=line.color,
                alpha=.18,
                linewidth=0)
        ax.plot(
            curve.x,
            curve.y,
            color=line.color,
            linewidth=rcParams['lines.linewidth'],
            linestyle=line.style,
            # a lone validation is a point, not a line
            marker='.' if len(curve.x) == 1 else None,
            label=f'{line.label}, median of {count}'
            if count > 1 else line.label or None)

    def draw_switch_off(self, ax, line: Line) -> None:
        """Mark the end of the distillation on the curve."""
        curve = self.curve(line.runs, line.teacher)
        ends = switched_off_at(line.runs)
        if curve.x and ends:
            ax.scatter(
                *zip(*curve.at(ends)),
                s=rcParams['lines.markersize']**2,
                edgecolor=line.color,
                zorder=5,
                **_RING)


def plot_curves(result: Comparison,
                path: str,
                epochs_only: bool = False) -> None:
    """Draw the metric against epochs and against the wall clock.

    Against the clock, runs with a teacher begin at the cost of its training,
    if its run is known.

    Args:
        result (Comparison): The comparison.
        path (str): File to write, such as ``curves.png``.
        epochs_only (bool): Whether to leave out the wall clock, for instance
            because other jobs ran on the machine. Defaults to False.
    """
    plot_settings({'weak-to-strong': result}, path, epochs_only)


def plot_settings(results: Dict[str, Comparison],
                  path: str,
                  epochs_only: bool = False,
                  progress: Optional[str] = None) -> None:
    """Draw the baselines and the runs of several settings.

    Args:
        results (dict[str, Comparison]): Name of a setting -> its comparison.
            All have the same baselines.
        path (str): See :func:`plot_curves`; so is ``epochs_only``.
        progress (str, optional): ``'epoch'`` or ``'iter'``, on the x axis.
            Defaults to None, epochs where they are known.
    """
    first = next(iter(results.values()))
    lines = [Line('baseline', first.baseline.runs, BASELINE)]
    some_counted = any(result.teacher for result in results.values())
    for (name, result), (color, style) in zip(results.items(), cycle(LOOKS)):
        if some_counted and result.owes_teacher(result.w2s):
            name += ' (teacher not counted)'
        lines.append(Line(name, result.w2s.runs, color, result.teacher, style))
    scores = {result.teacher_score() for result in results.values()} - {None}
    plot_lines(path, lines, _panels(results, epochs_only, progress),
               first.targets, scores)


def plot_lines(path: str,
               lines: Sequence[Line],
               panels: Dict[str, Panel],
               targets: Sequence[Target],
               scores: Set[float],
               width: Optional[float] = None) -> None:
    """Draw runs on panels beside each other.

    Args:
        path (str): See :func:`plot_curves`. A PDF has its fonts inside, as
            TrueType; an SVG has letters as outlines.
        lines (Sequence[Line]): What is drawn.
        panels (dict[str, Panel]): Label of the x axis -> panel.
        targets (Sequence[Target]): Dotted lines.
        scores (set[float]): Those of the teachers.
        width (float, optional): Width in inches, for print: letters are as
            large as those below a figure. Defaults to None: for a screen.
    """
    looks = dict(_ON_SCREEN if width is None else _IN_PRINT)
    with rc_context({'pdf.fonttype': 42, 'svg.fonttype': 'path', **looks}):
        figure = _figure(lines, panels, targets, scores, width)
        figure.savefig(path, dpi=150 if width is None else 300)


def _figure(lines: Sequence[Line], panels: Dict[str, Panel],
            targets: Sequence[Target], scores: Set[float],
            width: Optional[float]) -> Figure:
    single = len(panels) == 1
    size = (6.4 if single else 9, 4.5)
    if width is not None:
        size = (width, .8 * width if single else .45 * width)
    figure = Figure(figsize=size, layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for ax, (x_label, panel) in zip(axes, panels.items()):
        for target in targets:
            ax.axhline(target.value, color=GREY, linestyle=':', linewidth=1)
        _draw_teachers(ax, panel, lines, scores)
        for line in lines:
            panel.draw(ax, line)
        for line in lines:
            panel.draw_switch_off(ax, line)
        _finish(ax, x_label)
    axes[0].set_ylabel(next(iter(panels.values())).metric)
    if any(switched_off_at(line.runs) for line in lines):
        axes[0].scatter([], [],
                        s=rcParams['lines.markersize']**2,
                        edgecolor=GREY,
                        label='distillation switched off',
                        **_RING)
    _legend(figure, axes)
    label_targets(axes[-1], [target.value for target in targets])
    return figure


def _panels(results: Dict[str, Comparison], epochs_only: bool,
            progress: Optional[str]) -> Dict[str, Panel]:
    """The panels by the labels of their x axes."""
    metric, units = next(iter(results.values())).metric, set.intersection(
        *(set(result.units) for result in results.values()))
    progress = progress or ('epoch' if 'epoch' in units else 'iter')
    panels = {_AXES[progress]: Panel(metric, progress)}
    clock = counted_unit(results)
    if clock in TIME_UNITS and not epochs_only:
        runs = [run for result in results.values() for run in result.runs]
        time = time_unit(runs)
        label = f'{_AXES[clock]} ({time.name})'
        if any(clock in result.teacher_units for result in results.values()):
            label += "\nbegins with the teacher's own training"
        panels[label] = Panel(metric, clock, time.seconds)
    return panels


def _draw_teachers(ax, panel: Panel, lines: Sequence[Line],
                   scores: Set[float]) -> None:
    """The teachers' scores, and on a panel of time their own training."""
    text = 'teacher' if len(scores) < 2 else 'teachers'
    text += f' ({", ".join(f"{score:.3g}" for score in sorted(scores))})'
    for i, score in enumerate(sorted(scores)):
        ax.axhline(
            score,
            color=TEACHER,
            linestyle='--',
            linewidth=1.3,
            label=None if i else text)
    drawn = []
    for line in lines:
        if panel.begin(line.teacher) and line.teacher not in drawn:
            curve = panel.curve([line.teacher])
            ax.plot(
                curve.x,
                curve.y,
                color=TEACHER,
                linewidth=1.6,
                label=None if drawn else "the teacher's own training")
            drawn.append(line.teacher)


def _finish(ax, x_label: str) -> None:
    ax.set_xlabel(x_label)
    ax.set_xlim(left=0)
    ax.xaxis.set_major_locator(
        MaxNLocator('auto', steps=(1, 2, 5, 10), integer=True))
    ax.spines[['top', 'right']].set_visible(False)
    ax.grid(axis='x', color='0.92')
    ax.set_axisbelow(True)


def _legend(figure: Figure, axes: Sequence) -> None:
    """One legend for all panels."""
    named = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels()):
            named.setdefault(label, handle)
    for columns in range(min(len(axes) + 1, 3), 0, -1):
        legend = figure.legend(
            named.values(),
            named.keys(),
            loc='outside upper center',
            ncols=columns,
            frameon=False)
        box = legend.get_window_extent(figure.canvas.get_renderer())
        # Long names would be cut at the edges.
        if columns == 1 or box.width <= figure.bbox.width:
            return
        legend.remove()
