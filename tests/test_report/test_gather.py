# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json

import pytest

from mmw2s.analysis.settings import compare_settings, save
from mmw2s.report import gather, make_report
from mmw2s.report.summary import summary
from mmw2s.utils.flat import flat


def names(material):
    return {group.name: len(group.runs) for group in material.groups}


def test_a_study_is_taken_apart_into_its_arms(write_run, tmp_path):
    for arm in ('baseline', 'start', 'both'):
        for seed in range(2):
            write_run(
                f'study/{arm}/seed_{seed}', [.1, .2],
                seed=seed,
                teacher=None if arm == 'baseline' else .15)
    amended = dict(amendments=[dict(what='seeds', why='<b>one</b> more')])
    (tmp_path / 'study' / 'study.json').write_text(json.dumps(amended))
    found = gather([str(tmp_path / 'study')])
    assert names(found) == {'baseline': 2, 'both': 2, 'start': 2}
    assert list(found.studies.values()) == [amended]
    assert found.asked() == {}


def test_arms_are_in_the_order_of_the_study_without_unfinished_runs(
        write_run, tmp_path):
    for arm in ('baseline', 'both', 'a_control', 'never_finished'):
        for seed in range(2):
            done = arm != 'never_finished' and (arm, seed) != ('both', 1)
            write_run(
                f'study/{arm}/seed_{seed}', [.1, .2], seed=seed, finished=done)
    # What it says of runs may be of before they have finished.
    arms = dict.fromkeys(('baseline', 'both', 'a_control', 'never_finished'),
                         dict(finished=[]))
    (tmp_path / 'study' / 'study_result.json').write_text(
        json.dumps(dict(arms=arms)))
    found = gather([str(tmp_path / 'study')])
    assert list(names(found).items()) == [('baseline', 2), ('both', 1),
                                          ('a_control', 2)]
    assert found.problems == [
        f'Left out: {run}, which has not finished.'
        for run in ('both/seed_1', 'never_finished/seed_0',
                    'never_finished/seed_1')
    ]


def test_of_other_teachers_the_training_is_not_counted(write_run, tmp_path):
    teachers = dict(
        baseline=None,
        both='teacher',
        teacher_60='teacher_60',
        untrained_teacher='untrained')
    for arm, teacher in teachers.items():
        write_run(
            f'study/{arm}/seed_0', [.1, .2],
            teacher=None if teacher is None else .15)
    write_run('study/teacher_training', [.1, .15])
    (tmp_path / 'study' / 'study_result.json').write_text(
        json.dumps(
            dict(
                arms={
                    arm: dict(finished=[0], teacher=teacher)
                    for arm, teacher in teachers.items()
                })))
    counted = {
        group.name
        for group in gather([str(tmp_path / 'study')]).groups if group.teacher
    }
    assert counted == {'both'}


def test_the_baseline_of_a_study_is_its_own(write_run, tmp_path):
    arms = ('baseline', '10e_baseline', 'baseline-10e', 'both')
    for arm in arms:
        write_run(
            f'study/{arm}/seed_0', [.1, .2],
            teacher=.15 if arm == 'both' else None)
    (tmp_path / 'study' / 'study_result.json').write_text(
        json.dumps(dict(arms=dict.fromkeys(arms, {}))))
    groups = gather([str(tmp_path / 'study')]).groups
    assert [g.name for g in groups if g.is_baseline] == ['baseline']
    assert groups[0].is_baseline


def test_a_teacher_is_counted_up_to_the_checkpoint_that_taught(
        write_run, tmp_path):
    write_run('study/baseline/seed_0', [.1, .2])
    write_run('study/both/seed_0', [.1, .2], teacher=.15)
    write_run('study/teacher_training', [.1, .15, .16], iters=10)
    (tmp_path / 'study' / 'study_result.json').write_text(
        json.dumps(
            dict(
                arms=dict(baseline={}, both=dict(teacher='teacher')),
                teachers=dict(teacher=dict(iter=20, score=.15)))))
    both, = (
        group for group in gather([str(tmp_path / 'study')]).groups
        if not group.is_baseline)
    assert [row['iter'] for row in both.teacher.history] == [10, 20]


def test_what_a_study_has_fixed_is_asked_for(write_run, tmp_path):
    for arm in ('baseline', 'both'):
        write_run(f'study/{arm}/seed_0', [.1, .2])
    fixed = dict(
        metric='coco/bbox_mAP',
        rule='greater',
        margin=0.02,
        targets=['80%', 0.3],
        arms=dict(baseline={}))
    (tmp_path / 'study' / 'study.json').write_text(
        json.dumps(
            dict(
                fixed=dict(
                    flat('study', fixed),
                    **flat('config.both', dict(study=dict(metric='mine')))))))
    assert gather([str(tmp_path / 'study')]).asked() == dict(
        metric='coco/bbox_mAP',
        rule='greater',
        margin=0.02,
        targets=['80%', '0.3'])


def test_a_pair_has_its_teacher_and_its_budget(write_run, tmp_path):
    write_run('pair/teacher', [.1, .2])
    write_run('pair/student_s0', [.2, .3], teacher=.2)
    write_run('pair/student_s0_baseline', [.1, .3])
    budget = dict(students={}, teacher={}, total=3.)
    (tmp_path / 'pair' / 'budget.json').write_text(json.dumps(budget))
    found = gather([str(tmp_path / 'pair')])
    assert names(found) == {'student_baseline': 1, 'student': 1}
    assert found.groups[1].teacher.name == 'teacher'
    assert list(found.budgets.values()) == [budget]


def test_settings_that_are_named_are_not_guessed(folders):
    found = gather(folders[:3], {'one <two>': folders[3:6]},
                   {None: folders[6]})
    assert names(found) == {'baseline': 3, 'one <two>': 3}
    assert found.groups[0].is_baseline
    assert found.groups[1].teacher.name == 'teacher'


def test_a_saved_comparison_gives_the_same_table(folders, tmp_path):
    named = {'w2s': folders[3:6]}
    table = compare_settings(folders[:3], named, teacher=folders[6])
    save(table, str(tmp_path / 'out'))
    direct = make_report(gather(folders[:3], named, {None: folders[6]}))
    for path in (tmp_path / 'out', tmp_path / 'out' / 'settings.json'):
        again = make_report(gather([str(path)]))
        assert summary(again) == summary(direct)
        assert [axis.key for axis in again.axes][-1] == 'time+teacher'


def test_a_step_cost_may_be_named_or_lie_there(folders, tmp_path):
    cost = dict(modes=dict(baseline=dict(median=1.)), ratios={})
    (tmp_path / 'my_step_cost.json').write_text(json.dumps(cost))
    named = gather([*folders, str(tmp_path / 'my_step_cost.json')])
    beside = gather([str(tmp_path)])
    assert list(named.step_costs.values()) == [cost]
    assert list(beside.step_costs.values()) == [cost]
    assert names(named) == names(beside)


def test_a_file_beside_the_runs_that_is_damaged_is_told(folders, tmp_path):
    (tmp_path / 'budget.json').write_text('{"stu')
    problem, = gather([str(tmp_path)]).problems
    assert 'budget.json is not valid JSON' in problem


def test_runs_of_mmengine_alone_are_read(tmp_path):
    logs = tmp_path / 'plain' / '20260101_000000' / 'vis_data'
    logs.mkdir(parents=True)
    lines = [
        dict(iter=10 * i, epoch=i, time=1., step=10 * i) if train else {
            'coco/bbox_mAP': .1 * i,
            'step': i
        } for i in range(1, 4) for train in (True, False)
    ]
    text = '\n'.join(map(json.dumps, lines))
    (logs / 'scalars.json').write_text(text + '\n{"coco/bbox_m')  # torn
    report = make_report(gather([str(tmp_path)]))
    assert [axis.key for axis in report.axes] == \
        ['epochs', 'iterations', 'time']
    assert len(report.groups[0].runs[0].history) == 3


def test_fifty_runs_are_fifty_settings_or_one(write_run, tmp_path):
    for i in range(50):
        write_run(f'seeds/x_s{i}', [.1, .2], seed=i)
        write_run(f'arms/arm {i:02} of many', [.1, .2], seed=i)
    assert names(gather([str(tmp_path / 'seeds')])) == {'x': 50}
    assert len(gather([str(tmp_path / 'arms')]).groups) == 50


@pytest.mark.parametrize('paths, error, message', [
    (['nowhere'], FileNotFoundError, 'nowhere does not exist'),
    (['empty'], FileNotFoundError, 'empty holds no'),
    (['torn.json'], ValueError, 'torn.json is not valid JSON'),
    (['list.json'], ValueError, 'should hold a JSON object'),
    (['hollow.json'], ValueError, 'a run without a history'),
])
def test_what_cannot_be_read_is_refused(paths, error, message, tmp_path,
                                        monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'torn.json').write_text('{"settings": ')
    (tmp_path / 'list.json').write_text('[]')
    (tmp_path / 'hollow.json').write_text(
        '{"settings": {}, "baselines": [{"name": "x", "history": []}]}')
    with pytest.raises(error, match=message):
        gather(paths)


def test_a_run_is_given_once(folders):
    with pytest.raises(ValueError, match='base_s0.*is given twice'):
        gather(folders[:3], {'a': folders[:1]})


def test_a_teacher_belongs_to_a_setting(folders):
    with pytest.raises(ValueError, match='a teacher for "x", but.*base, w2s'):
        gather(folders[:6], teachers={'x': folders[6]})
    with pytest.raises(ValueError, match='no setting has a teacher'):
        gather(folders[:3], teachers={None: folders[6]})
