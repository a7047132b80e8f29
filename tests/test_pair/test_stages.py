# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Stages whose processes are small scripts, which train no one."""
import os
import signal
import subprocess
import sys
import time

import pytest
from stage_scripts import LASTS

from mmw2s.engine.hooks.stop_on_signal_hook import RunEnded
from mmw2s.pair.stages import Launch, Stage, StageFailed, Supervisor
from mmw2s.records.files import write_record

FINISHES = '''
import json, sys
print('trained')
with open(sys.argv[1] + '/time_to_target.json', 'w') as file:
    json.dump(dict(schema_version=1, history=[], finished=True), file)
'''
HOLDS = '''
import pathlib, sys, time
from mmw2s.records.lock import hold
hold(sys.argv[1])
pathlib.Path(sys.argv[1], 'ready').touch()
time.sleep(60)
'''


class Script(Launch):
    """Starts a script instead of a training."""
    text = FINISHES

    def command(self, stage, cfg_options):
        return [sys.executable, '-c', self.text, stage.work_dir]


@pytest.fixture
def stage(tmp_path):
    return Stage('teacher', 'teacher.py', str(tmp_path / 'teacher'))


def supervisor(text, look=lambda *_: None):
    launch = type('Other', (Script, ), dict(text=text))()
    return Supervisor(launch, look, every=.01)


def test_a_stage_is_done_where_its_record_says_so(stage):
    assert not stage.is_done
    seen = []
    supervisor(FINISHES, lambda *at: seen.append(at)).run(stage, {})
    assert stage.is_done
    assert seen[0] == (stage, None) and seen[-1] == (None, None)
    with open(stage.log) as file:
        assert file.read() == 'trained\n'


def test_a_stage_that_is_done_is_not_begun_again(stage):
    os.makedirs(stage.work_dir)
    write_record(f'{stage.work_dir}/time_to_target.json',
                 dict(history=[], finished=True))
    supervisor('raise SystemExit(1)').run(stage, {})
    assert not os.path.exists(stage.log)


@pytest.mark.parametrize('text, code', [
    ('print("why"); raise SystemExit(3)', 3),
    ('print("why")', 0),
    ('import os; print("why", flush=True); os.kill(os.getpid(), 9)', -9),
])
def test_one_that_ends_without_being_finished_has_failed(stage, text, code):
    seen = []
    with pytest.raises(StageFailed) as failed:
        supervisor(text, lambda *at: seen.append(at)).run(stage, {})
    message = str(failed.value)
    assert f'stage teacher has failed, with the exit code {code}' in message
    assert stage.log in message and '\n  why\n' in message
    assert seen[-1] == (None, stage)


def test_the_log_of_an_earlier_call_is_kept(stage):
    with pytest.raises(StageFailed):
        supervisor('raise SystemExit("first")').run(stage, {})
    supervisor(FINISHES).run(stage, {})
    with open(stage.log) as file:
        assert file.read() == 'first\ntrained\n'


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_stage_end_with_a_checkpoint(stage, number):

    def look(running, failed):
        if os.path.exists(f'{stage.work_dir}/ready'):
            os.remove(f'{stage.work_dir}/ready')
            signal.raise_signal(number)

    mine = supervisor(LASTS, look)
    before = signal.getsignal(number)
    with pytest.raises(RunEnded) as ended, mine.watching():
        mine.run(stage, {})
    assert ended.value.code == 128 + number
    assert os.path.exists(f'{stage.work_dir}/stopped.pth')
    assert signal.getsignal(number) is before


def test_a_signal_between_two_stages_ends_it_at_once():
    mine = supervisor(LASTS)
    with pytest.raises(RunEnded) as ended, mine.watching():
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 143


def test_a_run_that_outlived_an_earlier_call_is_waited_for(stage):
    os.makedirs(stage.work_dir)
    other = subprocess.Popen([sys.executable, '-c', HOLDS, stage.work_dir],
                             env=Launch().environment())
    while not os.path.exists(f'{stage.work_dir}/ready'):
        assert other.poll() is None
        time.sleep(.01)
    alive = []

    def look(*_):
        alive.append(other.poll() is None)
        if len(alive) == 3:
            other.kill()

    supervisor(FINISHES, look).run(stage, {})
    other.wait()
    # It was looked at before the stage began, and the stage ended well.
    assert alive[:3] == [True] * 3 and not alive[-1]
    assert stage.is_done


@pytest.mark.parametrize('launch, begin', [
    (Launch(), ['train.py', 'student.py', '--work-dir', 'w']),
    (Launch('pytorch',
            4), ['dist_train.sh', 'student.py', '4', '--work-dir', 'w']),
    (Launch('slurm', 16,
            'gpus'), ['slurm_train.sh', 'gpus', 's', 'student.py', 'w']),
])
def test_each_launcher_has_its_command(launch, begin):
    stage = Stage('s', 'student.py', 'w', 3, ('--no-distill', ))
    command = launch.command(stage, {'a.b': .5})
    assert os.path.isfile(command[1])
    assert [os.path.basename(command[1]), *command[2:]] == begin + [
        '--resume', 'auto', '--no-distill', '--cfg-options',
        'randomness.seed=3', 'a.b=0.5'
    ]
    found = launch.environment()
    assert found['PYTHON'] == sys.executable
    assert (found.get('GPUS'),
            found.get('GPUS_PER_NODE')) == (('16', '8') if launch.launcher
                                            == 'slurm' else (None, None))
