# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Whole pairs of tiny models, killed and gone on with."""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from toys import run_config

from mmw2s.configs_path import tools_root
from mmw2s.records.lock import LOCK

pytestmark = pytest.mark.slow
ROOT = tools_root().parent


@pytest.fixture(scope='module')
def folder(tmp_path_factory, pictures):
    """A folder with a student's config."""
    folder = tmp_path_factory.mktemp('pair')
    cfg = run_config(pictures, 'unused', epochs=4)
    cfg.pop('work_dir')
    cfg.dump(str(folder / 'student.py'))
    return folder


def start(folder, name, *options):
    """The command, as a user calls it; its output is in <name>.log."""
    return subprocess.Popen([
        sys.executable,
        str(tools_root() / 'train_pair.py'), 'student.py', '--work-dir', name,
        '--with-baseline', '--useful-at', '0.3', *options
    ],
                            cwd=folder,
                            env=dict(
                                os.environ,
                                OMP_NUM_THREADS='1',
                                MMW2S_CACHE=str(folder / f'{name}.cache'),
                                PYTHONPATH=str(ROOT)),
                            stdout=open(folder / f'{name}.log', 'a'),
                            stderr=subprocess.STDOUT)


def finish(folder, name, *options):
    process = start(folder, name, *options)
    code = process.wait()
    return code, (folder / f'{name}.log').read_text()


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, path
        time.sleep(0.01)


@pytest.fixture(scope='module')
def whole(folder):
    code, said = finish(folder, 'whole')
    assert code == 0, said
    return folder / 'whole', said


def weights(pair, stage, name='epoch_4.pth'):
    return torch.load(pair / stage / name, weights_only=False)['state_dict']


def decisions(pair, stage):
    """The rows of a student's record, without what a clock has measured."""
    rows = [
        json.loads(line)
        for line in (pair / stage / 'w2s_record.jsonl').open()
    ]
    return [{
        key: value
        for key, value in row.items()
        if key not in ('seconds', 'step_ms', 'teacher_ms', 'checkpoint',
                       'name', 'path')
    } for row in rows]


def test_a_pair_comes_to_its_budget(whole):
    pair, said = whole
    budget = json.loads((pair / 'budget.json').read_text())
    teacher = Config.fromfile(pair / 'teacher.py')
    # Half of the student's epochs, and a smaller model.
    assert teacher.train_cfg.max_epochs == 2
    assert teacher.model.backbone.blocks == [1] * 4
    record = json.loads(
        (pair / 'student_s0' / 'w2s_record.jsonl').open().readline())
    assert record['checkpoint'].endswith('teacher.pth')
    spent = [*budget['teacher'].values(), *budget['students'].values()]
    assert budget['total'] == pytest.approx(sum(s['total'] for s in spent))
    history = json.loads(
        (pair / 'student_s0' / 'time_to_target.json').read_text())['history']
    student = budget['students']['student_s0']
    assert student['total'] == pytest.approx(history[-1]['wall_seconds'])
    assert student['training'] == history[-1]['train_seconds'] > 0
    assert student['validation'] > 0
    # A student that grew is not taught, so the teacher is not scored.
    assert budget['chosen']['alone'] and student['scoring'] == 0
    assert 'It has given its weights alone' in said
    for line in ('Teacher: derived', 'The student starts by Grow',
                 'student_s0_baseline: running', 'teacher: epoch 1: ',
                 'student_s0: distillation off', 'student_s0: finished',
                 'Budget, in seconds', 'teacher and students'):
        assert line in said
    assert list(budget['comparison']['settings']) == ['pair']
    page = (pair / 'progress.html').read_text()
    assert 'student_s0_baseline' in page and 'http-equiv' not in page


def test_a_second_call_trains_nothing_more(whole, folder):
    before = (folder / 'whole' / 'student_s0' / 'train.log').read_text()
    code, said = finish(folder, 'whole')
    assert code == 0
    assert said.count('student_s0: started') == 1
    after = (folder / 'whole' / 'student_s0' / 'train.log').read_text()
    assert after == before


def kill_run(work_dir):
    """Kill the run that holds a work_dir, as a machine that goes down."""
    lock = work_dir / LOCK
    os.kill(json.loads(lock.read_text())['pid'], signal.SIGKILL)


def test_killed_in_each_stage_it_ends_as_one_that_was_not(whole, folder):
    pair = folder / 'killed'
    # The first run outlives the command, and is waited for.
    for stage, number, code in (('student_s0_baseline', signal.SIGKILL,
                                 -9), ('teacher', signal.SIGTERM, 143),
                                ('student_s0', signal.SIGKILL, -9)):
        process = start(folder, 'killed')
        # It is written once the checkpoint is whole.
        wait_for(pair / stage / 'last_checkpoint', process)
        process.send_signal(number)
        if stage == 'student_s0':
            kill_run(pair / stage)
        assert process.wait() == code
    code, said = finish(folder, 'killed')
    assert code == 0, said
    assert 'Interrupted. The same command goes on' in said
    # It was resumed, not begun anew, which would rename its first record.
    names = {path.name for path in (pair / 'student_s0').iterdir()}
    assert len([name for name in names if name.startswith('20')]) == 2
    assert 'time_to_target.1.json' not in names
    for stage in ('student_s0_baseline', 'student_s0'):
        one, other = weights(pair, stage), weights(whole[0], stage)
        assert all(torch.equal(one[key], other[key]) for key in other)
    assert decisions(pair, 'student_s0') == decisions(whole[0], 'student_s0')
    one, other = (
        torch.load(p / 'teacher.pth', weights_only=False)
        for p in (pair, whole[0]))
    assert all(
        torch.equal(one['state_dict'][key], other['state_dict'][key])
        for key in other['state_dict'])


def test_another_config_is_refused_with_what_differs(whole, folder):
    code, said = finish(folder, 'whole', '--cfg-options',
                        'train_cfg.max_epochs=5')
    assert code == 1
    assert 'student.train_cfg.max_epochs was 4, now 5' in said


def test_a_stage_that_fails_ends_it_with_its_log(folder):
    code, said = finish(folder, 'broken', '--cfg-options',
                        'train_dataloader.batch_size=-3')
    assert code == 1 and not Path(folder, 'broken', 'budget.json').exists()
    assert 'the stage student_s0_baseline has failed' in said
    assert 'batch_size should be a positive integer' in said
    assert 'student_s0_baseline/train.log' in said
