# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A whole study of tiny models, killed and gone on with."""
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from mmw2s.configs_path import tools_root
from mmw2s.records.lock import LOCK
from mmw2s.study.frozen import freeze
from mmw2s.study.run import _tasks, run_study
from mmw2s.study.workers import LocalWorkers

FILE = '''
student = 'student.py'
teacher = 'teacher.py'
metric = 'coco/bbox_mAP'
margin = 1.
seeds = [0]
targets = [{target}]
start = dict(type='Inherit')
arms = dict(
    baseline=dict(),
    both=dict(),
    broken=dict(cfg_options={{'train_dataloader.batch_size': -3}}))
'''


def command(folder, *options):
    """The command, as a user calls it; its output is in study.log."""
    return subprocess.Popen([
        sys.executable,
        str(tools_root() / 'run_study.py'), 'my_study.py', '--work-dir',
        'study', *options
    ],
                            env=dict(
                                os.environ,
                                OMP_NUM_THREADS='1',
                                MMW2S_CACHE=str(folder / 'cache'),
                                PYTHONPATH=str(tools_root().parent)),
                            stdout=open(folder / 'study.log', 'w'),
                            stderr=subprocess.STDOUT)


def finish(folder, *options):
    code = command(folder, *options).wait()
    return code, (folder / 'study.log').read_text()


@pytest.mark.slow
def test_killed_it_goes_on_and_one_that_fails_stops_no_other(folder):
    (folder / 'my_study.py').write_text(FILE.format(target=.01))
    run = folder / 'study' / 'baseline' / 'seed_0'
    process = command(folder, '--jobs', '2')
    # It is written once the checkpoint is whole.
    while not (run / 'last_checkpoint').exists():
        assert process.poll() is None, (folder / 'study.log').read_text()
        time.sleep(.01)
    process.kill()
    process.wait()
    os.kill(json.loads((run / LOCK).read_text())['pid'], signal.SIGKILL)

    code, said = finish(folder, '--jobs', '2')
    assert code == 1, said
    result = json.loads((folder / 'study' / 'study_result.json').read_text())
    # It was resumed, not begun anew, which would rename its first record.
    names = {path.name for path in run.iterdir()}
    assert len([name for name in names if name.startswith('20')]) == 2
    assert 'time_to_target.1.json' not in names
    assert result['arms']['baseline']['finished'] == [0]
    assert result['arms']['both']['finished'] == [0]
    assert list(result['problems']) == ['broken_s0']
    assert 'batch_size should be a positive' in result['problems']['broken_s0']
    assert 'broken/seed_0/train.log' in said
    assert result['arms']['both']['teacher_cost']['wall_seconds'] > 0

    (folder / 'my_study.py').write_text(FILE.format(target=.02))
    code, said = finish(folder, '--report')
    assert code == 1 and 'study.targets.0 was 0.01, now 0.02' in said
    code, said = finish(folder, '--report', '--amend', 'we looked too early')
    assert code == 0 and '"we looked too early"' in said


FINISHED = SimpleNamespace(poll=lambda: 0)


@pytest.fixture
def trained(monkeypatch, write_run):
    """What is trained, in its order; it is written by hand."""
    seen = []

    def run_tasks(workers, tasks, look, every):
        for task in tasks:
            assert all(stage.is_done for stage in task.after)
            seen.append((task.stage.name, task.prepare()))
            write_run(task.stage.work_dir, (.2, .4))
        look([])
        return {}

    monkeypatch.setattr('mmw2s.study.run.run_tasks', run_tasks)
    return seen


def test_seeds_take_turns_and_teachers_come_before_their_students(
        planned, trained):
    plan = planned(seeds=[0, 1], arms=['baseline', 'both', 'teacher_80'])
    run_study(plan, freeze(plan), LocalWorkers())
    assert [name for name, _ in trained] == [
        'baseline_s0', 'baseline_s1', 'teacher', 'both_s0', 'teacher_80_s0',
        'both_s1', 'teacher_80_s1'
    ]


def test_a_teacher_that_ends_when_useful_is_told_the_baselines_best(
        planned, trained):
    plan = planned(
        seeds=[0],
        arms=['baseline', 'both'],
        teacher=dict(config='teacher.py', useful_at=.8))
    run_study(plan, freeze(plan), LocalWorkers())
    options = dict(trained)['teacher']
    assert options['default_hooks.stop_when_useful.student_best'] == .4


def test_a_run_waits_for_what_its_teacher_is_chosen_from_alone(planned):
    plan = planned(
        seeds=[0],
        arms=['baseline', 'both', 'teacher_80', 'untrained_teacher'])
    waits = {
        task.stage.name: [stage.name for stage in task.after]
        for task in _tasks(plan, plan.arms)
    }
    assert waits == dict(
        baseline_s0=[],
        teacher=[],
        both_s0=['teacher'],
        teacher_80_s0=['teacher', 'baseline_s0'],
        untrained_teacher_s0=[])


def test_no_run_begins_after_one_without_the_metric(planned, trained):
    plan = planned(
        seeds=[0],
        arms=['baseline', 'warm_up_cut'],
        warm_up=.5,
        metric='coco/bbox_mAP_5')
    with pytest.raises(ValueError, match='baseline_s0 has coco/bbox_mAP:'):
        run_study(plan, freeze(plan), LocalWorkers())
    assert trained == [('baseline_s0', {})]


def test_some_arms_alone_are_trained_if_asked_for(planned, monkeypatch,
                                                  write_run):
    plan = planned(seeds=[0], arms=['baseline', 'both', 'teacher_80'])
    monkeypatch.setattr(
        LocalWorkers, 'begin', lambda self, stage, cfg_options:
        (write_run(stage.work_dir, (.2, .4)), FINISHED)[1])
    monkeypatch.setattr(LocalWorkers, 'ended', lambda self, job: None)
    result = run_study(
        plan, freeze(plan), LocalWorkers(), ['teacher_80'], every=.01)
    # Nothing is said of the arm that was not asked for.
    assert list(result.problems) == ['teacher_80_s0']
    assert 'baseline_s0 should be finished before' in \
        result.problems['teacher_80_s0']
    assert plan.teacher_run.is_done
    with pytest.raises(ValueError, match='--only names none'):
        run_study(plan, freeze(plan), LocalWorkers(), ['none'])
