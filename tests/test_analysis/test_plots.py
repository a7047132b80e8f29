# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from mmw2s.analysis import compare, plot_curves
from mmw2s.analysis.plots import _Curves, spread
from mmw2s.analysis.run import Run

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


def test_the_median_is_drawn_where_all_seeds_were_validated(write_run):
    folders = [
        write_run('a', SLOW),
        write_run('b', FAST),
        write_run('c', FAST)
    ]
    record = f'{folders[2]}/time_to_target.json'
    with open(record) as file:
        content = json.load(file)
    del content['history'][1]  # one validation less
    with open(record, 'w') as file:
        json.dump(content, file)
    curves = _Curves('coco/bbox_mAP', 'wall_seconds', 60)
    x, y = curves.median([Run.load(folder) for folder in folders])
    np.testing.assert_allclose(x, np.array([12, 36, 48, 60]) / 60)
    assert y == [.3, .5, .5, .5]


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
