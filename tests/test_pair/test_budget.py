# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json
from dataclasses import replace

import pytest

from mmw2s.analysis.run import Run
from mmw2s.pair.budget import Budget, Spent, spent_by


@pytest.fixture
def done(plan, write_run):
    """Teacher: 24 s. Students: 50 and 48 s. Baselines: 60 s each."""
    write_run(plan.teacher.work_dir, (.2, .3))
    for i, stage in enumerate(plan.students):
        write_run(stage.work_dir, (.3, .4, .4, .5), scoring=2. * (i == 0))
    for stage in plan.own_baselines:
        write_run(stage.work_dir, (.1, .2, .3, .4, .5))
    return plan


def test_the_seconds_of_a_run_are_training_scoring_and_the_rest(done):
    run = Run.load(done.students[0].work_dir)
    assert spent_by(run) == Spent(40., 2., 8.)
    assert spent_by(run).total == 50.


def test_all_stages_are_in_the_budget_with_their_sums(done):
    rows = {row[0]: row[1:] for row in Budget(done).table().rows}
    assert rows['teacher'] == ['20.0', '0.0', '4.0', '24.0']
    assert rows['student_s0'] == ['40.0', '2.0', '8.0', '50.0']
    assert rows['teacher and students'] == ['100.0', '2.0', '20.0', '122.0']
    assert rows['teacher and one student'][-1] == '73.0'
    assert rows['baselines'][-1] == '120.0'


def test_the_teacher_is_counted_where_the_two_are_compared(done, tmp_path):
    budget = Budget(done, dict(metric='m'), targets=['0.3'])
    budget.save(str(tmp_path / 'budget.json'))
    found = json.loads((tmp_path / 'budget.json').read_text())
    assert found['total'] == 122. and found['teacher_and_one_student'] == 73.
    assert found['chosen'] == dict(metric='m')
    target, = found['comparison']['settings']['pair']['targets']
    # 36 s alone; the teacher's 24 s come to the students' 13 s.
    assert target['speedup']['wall_seconds']['value'] == \
        pytest.approx(36 / 13)
    assert target['speedup_with_teacher']['wall_seconds']['value'] == \
        pytest.approx(36 / (24 + 13))


def test_what_cannot_be_compared_is_told_and_the_budget_stays(done, capsys):
    budget = Budget(done, targets=['many'])
    assert budget.comparison is None
    budget.print()
    said = capsys.readouterr().out
    assert 'Nothing is compared: a target should be' in said
    assert 'teacher and students' in said


def test_a_baseline_that_is_not_there_does_not_lose_the_budget(done):
    done.options = replace(
        done.options, baseline=('nowhere', ), with_baseline=False)
    assert 'nowhere does not exist' in Budget(done).problem


def test_without_a_baseline_the_budget_says_how_to_get_one(done, capsys):
    done.options = replace(done.options, with_baseline=False)
    Budget(done).print()
    assert '--with-baseline trains it' in capsys.readouterr().out


def test_a_teacher_that_existed_costs_nothing(done):
    done.trains_teacher = False
    found = Budget(done).to_dict()
    assert found['teacher'] == {} and found['total'] == 98.
