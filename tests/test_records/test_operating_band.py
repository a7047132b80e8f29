# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.records.operating_band import judge_teacher, teacher_warning


@pytest.mark.parametrize('score, verdict', [
    (0., 'too weak'),
    (-1., 'too weak'),
    (.339, 'too weak'),
    (.34, 'useful'),
    (.399, 'useful'),
    (.4, 'too strong'),
    (.5, 'too strong'),
])
def test_the_band_is_from_15_per_cent_weaker_to_just_weaker(score, verdict):
    assert judge_teacher(score, .4, 'greater').verdict == verdict


@pytest.mark.parametrize('score, verdict', [(100., 'too weak'),
                                            (71., 'too weak'), (70., 'useful'),
                                            (61., 'useful'),
                                            (60., 'too strong'),
                                            (0., 'too strong')])
def test_where_less_is_better_the_band_lies_above_the_students_best(
        score, verdict):
    assert judge_teacher(score, 60., 'less').verdict == verdict


def test_the_share_says_how_good_it_is_whichever_side_is_better():
    assert judge_teacher(.3, .4, 'greater').share == pytest.approx(.75)
    assert judge_teacher(80., 60., 'less').share == pytest.approx(.75)


@pytest.mark.parametrize('best', [0, -.1, float('nan'), float('inf'), '0.4'])
def test_a_best_of_which_there_is_no_share_is_refused(best):
    with pytest.raises(
            ValueError, match='student_best should be a finite number > 0'):
        judge_teacher(.3, best, 'greater')


@pytest.mark.parametrize('score, said', [(.3, 'too weak'),
                                         (.45, 'too strong')])
def test_a_warning_has_the_figures_and_what_to_do(score, said):
    warning = teacher_warning('coco/bbox_mAP', score, .4, 'greater')
    other = dict(zip(('too weak', 'too strong'), ('a later', 'an earlier')))
    assert said in warning and f'Take {other[said]} epoch' in warning
    assert f'coco/bbox_mAP is {score}' in warning
    assert 'choose-teacher RUN_DIR --student-best 0.4' in warning


def test_a_useful_teacher_or_one_that_cannot_be_judged_is_not_warned_of():
    assert teacher_warning('m', .35, .4, 'greater') is None
    assert teacher_warning('m', .01, None, 'greater') is None


def test_a_score_of_0_is_warned_of_whatever_is_known_of_the_student():
    assert 'm is 0: nothing' in teacher_warning('m', 0., None, 'greater')
    assert teacher_warning('m', 0., None, 'less') is None
