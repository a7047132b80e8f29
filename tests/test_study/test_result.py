# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What studies show whose runs are written by hand."""
import json
import re
from pathlib import Path

import pytest

from mmw2s.study.frozen import freeze
from mmw2s.study.result import Result
from mmw2s.study.teachers import provide


@pytest.fixture
def plan(planned, write_run):
    """Baselines at 0.4 in epoch 4, an arm in epoch 2, a control never.

    An epoch takes 12 s of wall clock; the teacher's training 24 s.
    """
    plan = planned(
        arms=['baseline', 'distillation', 'permuted_teacher'],
        targets=['80%'],
        margin=.03)
    scores = dict(
        baseline=(.1, .2, .3, .4, .5),
        distillation=(.3, .4, .4, .45, .49),
        permuted_teacher=(.1, .2, .2, .3, .3))
    for arm, rows in scores.items():
        for seed, stage in plan.runs(arm).items():
            write_run(stage.work_dir, [s + .001 * seed for s in rows])
    write_run(plan.teacher_run.work_dir, (.2, .3))
    provide(plan, 'teacher')
    return plan


@pytest.fixture
def result(plan):
    return Result(plan, freeze(plan))


def row(table, arm):
    found, = [r for r in table.rows if arm in r]
    return dict(zip(table.header, found))


def test_targets_are_shares_of_the_baselines_median_best(result):
    target, = result.numbers.targets
    assert target.value == pytest.approx(.8 * .501)


def test_each_arm_is_compared_with_the_baseline(result):
    table = result.tables()[1]
    # Seed 0 of the baseline misses 0.4008 by little in epoch 4.
    base = row(table, 'baseline')
    assert base['reached'] == '3 of 3'
    assert base['epochs, median (range)'] == '4 (4 to 5)'
    taught = row(table, 'distillation')
    assert taught['epochs, median (range)'] == '2 (2 to 4)'
    # Ratios 5 / 4, 4 / 2, 4 / 2.
    assert taught['speed-up (interval)'] == '2.00x (1.25 to 2.00)'
    control = row(table, 'permuted_teacher')
    assert control['reached'] == '0 of 3'
    assert control['epochs, median (range)'].startswith('> 5')
    assert control['speed-up (interval)'] == '< 0.80x (0.00 to 1.00)'


def test_final_scores_are_tested_against_the_margin(result):
    table = result.tables()[2]
    taught, control = (
        row(table, arm) for arm in ('distillation', 'permuted_teacher'))
    assert taught['not worse'] == 'holds'
    assert taught['better than the baseline by'] == '-0.01'
    assert control['not worse'] == 'does not hold'


def test_a_run_that_diverged_does_not_count_by_its_last_good_score(
        plan, write_run):
    stage = plan.runs('distillation')[1]
    write_run(stage.work_dir, (.3, .6, .6, .6, None))
    for stage in plan.runs('permuted_teacher').values():
        write_run(stage.work_dir, (None, None))
    result = Result(plan, freeze(plan))
    table = result.tables()[2]
    for arm, ends in (('distillation', '0.491 (0.49 to 0.492)'),
                      ('permuted_teacher', '-')):
        found = row(table, arm)
        assert found['last validation, mean (range)'] == ends
        assert found['not worse'] == 'not known: a run ended without a score'
    assert result.to_dict()['arms']['distillation']['final'][1] is None


def test_the_teachers_training_is_counted_and_paid_for(result):
    table = result.tables()[3]
    taught = row(table, 'distillation')
    wall = 'wall (s), median (range)'
    assert row(table, 'baseline')[wall] == '48.0 (48.0 to 60.0)'
    assert taught[wall] == '24.0 (24.0 to 48.0)'
    assert taught['wall (s) with the teacher'] == '48.0 (48.0 to 72.0)'
    # 24 s saved by each student.
    assert taught['students that pay for it'] == '1'
    assert row(table, 'permuted_teacher')['students that pay for it'] == \
        'none do'


def test_who_pays_is_not_known_of_runs_that_ended_too_early(plan, write_run):
    for stage in plan.runs('permuted_teacher').values():
        write_run(stage.work_dir, (.1, .2))
    table = Result(plan, freeze(plan)).tables()[3]
    # 2 epochs, where the baseline needs 4.
    assert row(table, 'permuted_teacher')['students that pay for it'] == \
        'not known'


def test_what_limits_the_numbers_is_told(result):
    notes = ' '.join(result.notes())
    assert '3 seeds: the interval covers the median in 75%' in notes
    assert 'before the first run' in notes


def test_why_there_is_no_speed_up_is_told(planned, write_run):
    arms = dict(baseline={}, distillation={}, always_on=dict(seeds=[3]))
    plan = planned(arms=arms, targets=[.4])
    for arm in arms:
        for stage in plan.runs(arm).values():
            write_run(stage.work_dir, (.3, .4))
    told = [
        note for note in Result(plan, freeze(plan)).notes()
        if 'no speed-up' in note
    ]
    assert len(told) == 1 and told[0].startswith('always_on: ')


def test_shares_wait_for_all_baselines(plan, write_run):
    stage = plan.runs('baseline')[2]
    write_run(stage.work_dir, (.1, ), finished=False)
    found = Result(plan, freeze(plan), dict(baseline_s2='exit code 1'))
    assert found.numbers.targets == []
    notes = ' '.join(found.notes())
    assert '80%' in notes and 'when all baselines have finished' in notes
    assert 'Not finished: baseline_s2' in notes
    assert 'baseline_s2: exit code 1' in notes
    assert row(found.tables()[0], 'baseline')['finished'] == '2 of 3'


@pytest.mark.parametrize('metric,scores,told', [
    ('coco/bbox_mAP_5', (.1, .4), 'no metric "?coco/bbox_mAP_5'),
    ('coco/bbox_mAP', (0., 0.), 'needs a positive best'),
])
def test_without_a_target_there_is_a_result_all_the_same(
        planned, write_run, metric, scores, told):
    plan = planned(arms=['baseline', 'distillation'], metric=metric)
    for arm in plan.arms:
        for stage in plan.runs(arm).values():
            write_run(stage.work_dir, scores)
    found = Result(plan, freeze(plan), dict(both_s0='exit code 1'))
    found.save()
    notes = ' '.join(found.notes())
    assert 'No target is known' in notes and 'both_s0: exit code 1' in notes
    assert re.search(told, notes)


def test_gaps_in_records_and_other_machines_are_told(plan, write_run):
    stage = plan.runs('distillation')[1]
    write_run(stage.work_dir, (.3, .4), recorded_from=500, world_size=2)
    notes = ' '.join(Result(plan, freeze(plan)).notes())
    assert 'distillation_s1 is on record from iteration 500 on' in notes
    assert 'differ in number of devices' in notes


def test_both_files_hold_all_of_it(plan, planned):
    freeze(plan)
    plan.study.margin = .04
    result = Result(plan, freeze(plan, 'a typing error'))
    result.save()
    page = Path('study/study_result.md').read_text()
    assert '**AMENDED on' in page and '"a typing error"' in page
    assert '2.00x (1.25 to 2.00)' in page

    def refuse(name):
        raise AssertionError(f'{name} is no JSON')

    found = json.loads(
        Path('study/study_result.json').read_text(), parse_constant=refuse)
    assert found['frozen']['amendments'][0]['why'] == 'a typing error'
    assert found['margin'] == .04
    way = found['arms']['distillation']['targets'][0]['units']['epoch']
    assert way['first']['speed_up']['median'] == [2., 2.]
    assert way['first']['reaches']['0']['value'] == 4.
    counted = found['arms']['distillation']['targets'][0]['units'][
        'wall_seconds']['first']['speed_up_with_teacher']
    assert counted['ratios']['1'] == [1., 1.]
    assert found['teachers']['teacher']['score'] == .3


def test_before_the_first_run_has_finished_there_are_the_arms(planned):
    plan = planned(arms=['baseline', 'distillation'])
    result = Result(plan, freeze(plan))
    result.save()
    assert [t.title for t in result.tables()] == ['Arms']
