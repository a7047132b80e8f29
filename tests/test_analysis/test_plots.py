# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from mmw2s.analysis import compare, plot_curves
from mmw2s.analysis.plots import plot_settings
from mmw2s.analysis.run import Run
from mmw2s.analysis.target_labels import spread

SLOW = [.1, .2, .3, .4, .5]
FAST = [.3, .4, .5, .5, .5]


def test_the_curves_are_drawn_with_the_switch_off(write_run, tmp_path):

    def orange_ring(**kwargs) -> int:
        n = len(list(tmp_path.iterdir()))
        result = compare([write_run(f'b{n}', SLOW)],
                         [write_run(f'w{n}', FAST, **kwargs)])
        path = str(tmp_path / f'{n}.png')
        plot_curves(result, path)
        image = cv2.imread(path)[:, :, ::-1].astype(int)
        return int((np.abs(image - (0xD5, 0x5E, 0)).sum(2) < 40).sum())

    plain = orange_ring()
    assert plain > 500  # the curve itself
    assert orange_ring(stop_epoch=2) > plain + 100


def test_curves_of_runs_without_any_metric_can_be_drawn(write_run, tmp_path):
    result = compare([write_run('b', SLOW)], [write_run('w', [None, None])])
    plot_curves(result, str(tmp_path / 'curves.png'))
    assert (tmp_path / 'curves.png').stat().st_size > 1000


def test_epochs_are_counted_in_whole_numbers(write_run, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        Figure, 'savefig', lambda self, *_, **__: drawn.append(
            [float(tick) for tick in self.axes[0].get_xticks()]))
    rising = [.01 * i for i in range(1, 21)]
    result = compare([write_run('b', rising)], [write_run('w', rising)])
    plot_curves(result, str(tmp_path / 'curves.png'), epochs_only=True)
    assert drawn[0] == [float(int(tick)) for tick in drawn[0]]


def test_the_wall_clock_can_be_left_out(write_run, tmp_path):
    result = compare([write_run('b', SLOW)], [write_run('w', FAST)])
    shapes = []
    for epochs_only in (False, True):
        path = str(tmp_path / 'curves.png')
        plot_curves(result, path, epochs_only)
        shapes.append(cv2.imread(path).shape)
    (height, both, _), (same, one, _) = shapes
    assert height == same and one < both


def drawn_by(monkeypatch, draw, *args) -> Figure:
    kept = []
    monkeypatch.setattr(Figure, 'savefig',
                        lambda figure, *_, **__: kept.append(figure))
    draw(*args)
    return kept[0]


def lines_of(ax) -> dict:
    return {line.get_label(): line for line in ax.get_lines()}


def test_settings_share_a_figure_each_beginning_at_its_teachers_cost(
        write_run, monkeypatch):
    """Validations every 12 s; the teacher took 24 s of wall clock."""
    base = [write_run(f'b{i}', SLOW, seed=i) for i in range(2)]
    teacher = write_run('t', [.2, .3])
    taught = write_run('w', FAST, teacher=.3, stop_epoch=2)
    other = write_run('o', FAST, teacher=.3)
    averaged = write_run('e', FAST)
    figure = drawn_by(
        monkeypatch, plot_settings, {
            'started': compare(base, [taught], teacher, [.4]),
            'other': compare(base, [other], None, [.4]),
            'averaged': compare(base, [averaged], None, [.4])
        }, 'x.png')
    epochs, clock = figure.axes
    for ax, begin in ((epochs, 0), (clock, 24)):
        lines, step = lines_of(ax), 1 if ax is epochs else 12
        assert list(lines['started'].get_xdata()) == [
            begin + step * i for i in range(1, 6)
        ]
        assert lines['averaged'].get_xdata()[0] == step
        assert lines['other (teacher not counted)'].get_xdata()[0] == step
        assert lines['baseline, median of 2'].get_xdata()[0] == step
        colors = [
            line.get_color() for name, line in lines.items()
            if name.startswith(('started', 'other', 'averaged', 'baseline'))
        ]
        assert len(set(colors)) == 4
    own = "the teacher's own training"
    assert own not in lines_of(epochs)
    assert list(lines_of(clock)[own].get_xdata()) == [12, 24]
    assert "teacher's own training" in clock.get_xlabel()
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(names) == len(set(names)) == 7


@pytest.mark.parametrize('length', [10, 50, 80])
def test_long_names_are_not_cut_at_the_edges(length, write_run, monkeypatch):
    base = [write_run('base', SLOW)]
    figure = drawn_by(
        monkeypatch, plot_settings, {
            f'{i} '.ljust(length, 'x'): compare(
                base, [write_run(f'run{i}', FAST)], None, [.4])
            for i in range(4)
        }, 'x.png')
    box = figure.legends[0].get_window_extent()
    assert 0 <= box.x0 and box.x1 <= figure.bbox.width
    assert len(figure.legends) == 1


def test_a_start_alone_has_nothing_to_switch_off(write_run, monkeypatch):

    def rings(name, **kwargs) -> list:
        result = compare([write_run(f'{name}_b', SLOW)],
                         [write_run(f'{name}_w', FAST, teacher=.3, **kwargs)])
        figure = drawn_by(monkeypatch, plot_curves, result, 'x.png')
        labels = [text.get_text() for text in figure.legends[0].get_texts()]
        return [
            at.tolist() for ring in figure.axes[0].collections
            for at in ring.get_offsets().data if len(ring.get_offsets())
        ], 'distillation switched off' in labels

    assert rings('alone', stop_epoch=0) == ([], False)
    assert rings('both', stop_epoch=2) == ([[2., .4]], True)


def test_seeds_without_a_validation_in_common_are_drawn_each(
        write_run, monkeypatch):
    folders = [write_run(f'b{i}', SLOW, seed=i) for i in range(2)]
    runs = [Run.load(folder) for folder in folders]
    for row in runs[1].history:
        row['iter'] += 50
    result = compare(runs, [write_run('w', FAST)], targets=[.4])
    figure = drawn_by(monkeypatch, plot_curves, result, 'x.png')
    blue = [
        line for line in figure.axes[0].get_lines()
        if line.get_color() == '#0072B2'
    ]
    assert [len(line.get_xdata()) for line in blue] == [5, 5]


@pytest.mark.parametrize('wanted, placed', [
    ([0, 20, 40], [0, 20, 40]),
    ([0, 2], [-4, 6]),
    ([0, 2, 40], [-4, 6, 40]),
    ([0, 9, 18], [-1, 9, 19]),
    ([], []),
])
def test_positions_are_moved_apart_as_little_as_it_takes(wanted, placed):
    assert spread(wanted, 10) == placed


def test_labels_of_near_targets_do_not_touch(write_run, tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(Figure, 'savefig',
                        lambda figure, *_, **__: kept.append(figure))
    near = [.2, .21, .46, .465, .47, .475, .48]
    result = compare([write_run('b', SLOW)], [write_run('w', FAST)],
                     targets=near)
    plot_curves(result, str(tmp_path / 'curves.png'))
    kept[0].draw_without_rendering()
    labels = kept[0].axes[-1].texts
    assert [float(label.get_text()) for label in labels] == near
    # That of an annotation has its line to the target in it.
    boxes = [Text.get_window_extent(label) for label in labels]
    assert not any(
        a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
