# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json
import os

import pytest
import torch
from mmengine.config import Config

from mmw2s.distillation import FrozenTeacher
from mmw2s.study.teachers import baselines_best, choice_of, provide


def weights(plan, name):
    return torch.load(plan.teacher_path(name, 'pth'))['state_dict']


@pytest.fixture
def plan(planned, write_run):
    """Baselines of a best of 0.5, and a teacher that reaches 0.45."""
    plan = planned(arms=[
        'baseline', 'distillation', 'untrained_teacher', 'teacher_60',
        'teacher_100'
    ])
    for i, stage in enumerate(plan.runs('baseline').values()):
        write_run(stage.work_dir, (.2, .4, .49 + .01 * i))
    write_run(plan.teacher_run.work_dir, (.1, .31, .45, .44))
    return plan


def test_the_best_is_known_when_all_baselines_have_finished(plan, write_run):
    assert baselines_best(plan) == .5
    stage = plan.runs('baseline')[1]
    write_run(stage.work_dir, (.2, .4), finished=False)
    assert baselines_best(plan) is None
    with pytest.raises(ValueError, match='not all of these have finished'):
        provide(plan, 'teacher_60')


def test_the_studys_own_teacher_is_the_last_of_its_training(plan):
    choice = provide(plan, 'teacher')
    assert weights(plan, 'teacher')['epoch'] == 4
    assert choice['score'] == .44
    assert choice['cost']['train_seconds'] == 40.
    kept = Config.fromfile(plan.teacher_path('teacher', 'py'))
    assert kept.model.backbone.depth == 18
    assert choice_of(plan, 'teacher') == choice


def test_one_of_a_share_is_the_earliest_that_has_it(plan):
    choice = provide(plan, 'teacher_60')  # from 0.3 on
    assert weights(plan, 'teacher_60')['epoch'] == 2
    # It could have been ended there.
    assert choice['cost']['wall_seconds'] == 24.


def test_where_the_teacher_is_never_so_good_a_baseline_teaches(plan):
    provide(plan, 'teacher_100')  # of 0.5: the second baseline
    assert weights(plan, 'teacher_100')['epoch'] == 3
    kept = Config.fromfile(plan.teacher_path('teacher_100', 'py'))
    assert kept.model.backbone.depth == 50


def test_where_no_checkpoint_is_so_good_it_says_how_good_they_are(
        plan, write_run):
    for stage in plan.runs('baseline').values():
        os.remove(f'{stage.work_dir}/epoch_3.pth')
    with pytest.raises(
            ValueError, match='at most teacher 90%, baseline_s0 80'):
        provide(plan, 'teacher_100')


def test_a_choice_is_made_once(plan, write_run):
    before = provide(plan, 'teacher')
    write_run(plan.teacher_run.work_dir, (.1, ))
    assert provide(plan, 'teacher') == before
    assert weights(plan, 'teacher')['epoch'] == 4


def test_an_untrained_teacher_has_random_weights_and_costs_nothing(plan):
    choice = provide(plan, 'untrained')
    assert set(choice['cost'].values()) == {0.}
    made = FrozenTeacher(
        plan.teacher_path('untrained', 'py'),
        plan.teacher_path('untrained', 'pth'))
    assert made.model.backbone.depth == 18


def test_a_teacher_that_is_useful_earlier_is_taken_and_counted_earlier(
        planned, write_run):
    plan = planned(teacher=dict(config='teacher.py', useful_at=.6))
    for stage in plan.runs('baseline').values():
        write_run(stage.work_dir, (.2, .5))
    write_run(plan.teacher_run.work_dir, (.1, .31, .45))
    assert provide(plan, 'teacher')['cost']['epoch'] == 2


@pytest.mark.parametrize('counted', [True, False])
def test_a_given_teacher_is_copied_and_counted_by_its_run(
        planned, write_run, counted):
    write_run('earlier', (.1, .4), seconds=20.)
    given = dict(config='teacher.py', checkpoint='weak.pth')
    plan = planned(teacher=dict(given, run='earlier') if counted else given)
    choice = provide(plan, 'teacher')
    assert choice['cost'] == (None if not counted else dict(
        epoch=2,
        iter=20,
        train_seconds=40.,
        wall_seconds=44.,
        device_hours=44 / 3600))
    with open(plan.teacher_path('teacher', 'pth.json')) as file:
        assert json.load(file) == choice
    assert 'bbox_head.retina_cls.weight' in weights(plan, 'teacher')


def test_a_run_that_is_told_after_the_choice_is_counted(planned, write_run):
    given = dict(config='teacher.py', checkpoint='weak.pth')
    assert provide(planned(teacher=given), 'teacher')['cost'] is None
    write_run('earlier', (.1, .4), seconds=20.)
    plan = planned(teacher=dict(given, run='earlier'))
    assert choice_of(plan, 'teacher')['cost']['wall_seconds'] == 44.


def test_another_run_that_is_told_later_is_the_one_that_is_counted(
        planned, write_run):
    given = dict(config='teacher.py', checkpoint='weak.pth')
    for run, seconds in (('wrong', 20.), ('right', 30.)):
        write_run(run, (.1, .4), seconds=seconds)
    provide(planned(teacher=dict(given, run='wrong')), 'teacher')
    plan = planned(teacher=dict(given, run='right'))
    assert choice_of(plan, 'teacher')['cost']['wall_seconds'] == 64.
    with pytest.raises(FileNotFoundError, match='nowhere does not exist'):
        planned(teacher=dict(given, run='nowhere'))


def test_a_run_that_is_not_there_is_refused_before_training(planned):
    with pytest.raises(FileNotFoundError, match='nowhere does not exist'):
        planned(
            teacher=dict(
                config='teacher.py', checkpoint='weak.pth', run='nowhere'))
