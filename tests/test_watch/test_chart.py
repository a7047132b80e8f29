# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from mmw2s.watch import Point, RunProgress
from mmw2s.watch.chart import draw


def run_of(*scores, end=None, teacher=None):
    return RunProgress(
        'a',
        max_iters=end,
        teacher=teacher,
        curve=tuple(Point(10 * i, i, score) for i, score in enumerate(scores)))


def texts(run, width, height, ascii_only=True):
    return [
        ''.join(cell.text for cell in line)
        for line in draw(run, width, height, ascii_only)
    ]


def test_a_rising_curve():
    assert texts(run_of(0, 1, 2, 3), 4, 4) == [
        '   *',
        '  * ',
        ' *  ',
        '*   ']  # yapf: disable


def test_a_curve_leaves_room_for_what_is_still_to_come():
    assert texts(run_of(0, 1, end=30), 4, 2) == [
        ' *  ',
        '*   ']  # yapf: disable


def test_a_steep_curve_has_no_gaps():
    assert texts(run_of(0, 3, 3), 3, 4) == [
        ' **',
        ' * ',
        ' * ',
        '*  ']  # yapf: disable


def test_the_teacher_is_a_dotted_line_below_the_curve():
    assert texts(run_of(0, 1, 2, 2, 2, teacher=1), 5, 3) == [
        '  ***',
        '-* - ',
        '*    ']  # yapf: disable


def test_a_cell_says_whether_the_curve_goes_through_it():
    top, bottom = draw(run_of(0, 0, 0, teacher=1), 3, 2, ascii_only=True)
    assert [cell.text for cell in top] == ['-', ' ', ' ']
    assert not any(cell.is_curve for cell in top)
    assert all(cell.is_curve for cell in bottom)


def test_a_character_of_braille_has_eight_dots():
    # Four rows: from the lowest to the highest.
    assert texts(run_of(0, 1), 1, 1, ascii_only=False) == ['⡸']
    assert texts(run_of(0, 1, 2, 3), 2, 1, ascii_only=False) == ['⡠⠊']


def test_a_flat_curve_and_a_single_point_are_drawn():
    assert texts(run_of(2, 2), 2, 1) == ['**']
    assert texts(run_of(2), 2, 1) == ['* ']


def test_without_a_validation_nothing_is_drawn():
    assert draw(run_of(teacher=1), 4, 4) == []
