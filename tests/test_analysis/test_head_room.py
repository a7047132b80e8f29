# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.analysis import Run, compare
from mmw2s.analysis.head_room import head_room
from mmw2s.analysis.side import Side

METRIC = 'coco/bbox_mAP'


@pytest.fixture
def load(write_run):

    def load(name, scores, **kwargs):
        return Run.load(write_run(name, scores, **kwargs))

    return load


def side(*runs, rule='greater') -> Side:
    return Side('baseline', list(runs), METRIC, rule)


def test_the_students_cost_is_divided_by_the_teachers(load):
    """30 s of the student, median of 20, 30 and 30; 2 x 5 s of the teacher."""
    base = [load(f'b{i}', [.1, score, .4]) for i, score in enumerate([.3, .2])]
    base.append(load('b2', [.1, .2, .4]))
    found = head_room(side(*base), load('t', [.1, .3, .3], seconds=5.), .3)
    assert found == (3., '', .3, 30., 10., 'train_seconds')


def test_of_a_lower_better_metric_too(load):
    found = head_room(
        side(load('b', [3., 2.]), rule='less'), load('t', [2., 1.9]), 2.)
    assert found.value == 2.


def test_the_teachers_own_best_counts_where_it_never_had_the_score(load):
    """Scored in another precision it may be a little better."""
    found = head_room(side(load('b', [.1, .2999, .4])), load('t', [.2999]), .3)
    assert (found.value, found.score) == (2., .2999)


def test_a_baseline_that_never_gets_there_gives_a_bound(load):
    found = head_room(side(load('b', [.1, .2])), load('t', [.3]), .3)
    assert (found.value, found.bound, str(found)) == (2., '>', '> 2.00')


def test_the_wall_clock_stands_in_for_unknown_training_times(load):
    base = load('b', [.1, .3])
    for row in base.history:
        row['train_seconds'] = None
    found = head_room(side(base), load('t', [.3]), .3)
    assert (found.unit, found.student, found.teacher) == ('wall_seconds', 24.,
                                                          12.)


def test_without_a_run_or_a_score_it_is_not_known(load):
    base, teacher = side(load('b', [.1, .3])), load('t', [.3])
    assert head_room(base, None, .3) is None
    assert head_room(base, teacher, None) is None
    assert head_room(base, load('n', [None]), .3) is None


@pytest.mark.parametrize('seconds, words', [(10., True), (5., False)])
def test_the_verdict_says_where_a_teacher_cannot_pay(write_run, seconds,
                                                     words):
    result = compare([write_run('b', [.3, .4])],
                     [write_run('w', [.4, .4], teacher=.3)],
                     write_run('t', [.3], seconds=seconds))
    said, = (line for line in result.verdict() if 'Head-room' in line)
    assert f'{10 / seconds:.2f}' in said
    assert ('cannot save time' in said) is words
