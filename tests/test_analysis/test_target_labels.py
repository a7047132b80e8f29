# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import matplotlib.pyplot as plt
import pytest

from mmw2s.analysis.target_labels import label_targets, spread


def test_positions_that_are_far_apart_stay():
    assert spread([0., 10., 25.], 10.) == [0., 10., 25.]
    assert spread([], 10.) == []


def test_positions_that_are_too_close_are_centred_on_their_mean():
    assert spread([10., 12., 50.], 10.) == [6., 16., 50.]


def test_a_group_that_runs_into_the_next_takes_it_in():
    # 0 and 2 would become -4 and 6, which is too close to 7.
    moved = spread([0., 2., 7.], 10.)
    assert moved == [-7., 3., 13.]
    assert sum(moved) == pytest.approx(0 + 2 + 7)


@pytest.mark.parametrize('values, joined', [([.2, .8], 0), ([.5, .51], 2)])
def test_labels_are_joined_to_their_lines_where_they_had_to_move(
        values, joined):
    figure, ax = plt.subplots()
    ax.set_ylim(0, 1)
    label_targets(ax, values)
    texts = ax.texts
    assert [text.get_text() for text in texts] == [f'{v:g}' for v in values]
    assert sum(text.arrow_patch is not None for text in texts) == joined
    figure.draw_without_rendering()
    low, high = (text.get_window_extent() for text in texts)
    assert low.y1 <= high.y0
    plt.close(figure)
