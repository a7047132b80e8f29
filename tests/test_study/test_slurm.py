# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Jobs of submitit on this machine, and what Slurm does to them."""
import os
import signal
import subprocess
import sys
import textwrap

import pytest
from stage_scripts import FAILS, FINISHES, LASTS, run

from mmw2s.engine.hooks.stop_on_signal_hook import RunEnded
from mmw2s.pair.stages import Stage
from mmw2s.study.slurm import SlurmWorkers, Training


def test_submitit_runs_them_as_jobs(tasks, tmp_path):
    pytest.importorskip('submitit')
    given = tasks(FINISHES, FAILS, FINISHES)
    workers = SlurmWorkers(
        str(tmp_path / 'jobs'), 2, cluster='local', timeout_min=2)
    found = run(given, workers)
    assert list(found) == ['s1'] and '\n  why' in found['s1']
    assert given[0].stage.is_done and given[2].stage.is_done
    assert any((tmp_path / 'jobs').iterdir())


def test_a_job_of_submitit_that_is_cancelled_ends(tasks, tmp_path):
    pytest.importorskip('submitit')
    given = tasks(LASTS)

    def look(running):
        if os.path.exists(f'{given[0].stage.work_dir}/ready'):
            os.remove(f'{given[0].stage.work_dir}/ready')
            signal.raise_signal(signal.SIGINT)

    workers = SlurmWorkers(
        str(tmp_path / 'jobs'), 2, cluster='local', timeout_min=2)
    with pytest.raises(RunEnded):
        run(given, workers, look)


@pytest.mark.parametrize('wrong', [
    dict(timeout_min='soon'),
    dict(timeout=5),
    dict(slurm_partitions='gpu'),
])
def test_parameters_that_submitit_does_not_have_are_refused(tmp_path, wrong):
    pytest.importorskip('submitit')
    with pytest.raises(ValueError, match=f'--slurm: .*{[*wrong][0]}'):
        SlurmWorkers(
            str(tmp_path),
            cluster='local',
            **dict(dict(timeout_min=1), **wrong))


def test_the_time_of_a_job_has_to_be_given(tmp_path):
    pytest.importorskip('submitit')
    with pytest.raises(ValueError, match='timeout_min=MINUTES'):
        SlurmWorkers(str(tmp_path), cluster='local')


def test_without_submitit_slurm_is_refused_with_what_to_install(
        tmp_path, monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(ImportError, match=r'mmw2s\[study\]'):
        SlurmWorkers(str(tmp_path))


# As one that still imports its packages.
UNREADY = """
import pathlib, sys, time
pathlib.Path(sys.argv[1], 'ready').touch()
time.sleep(60)
"""


@pytest.fixture
def job(tmp_path):
    """Run a training as submitit's process does, and give what it prints."""

    def start(script, does, **environment):
        (tmp_path / 'run').mkdir()
        code = textwrap.dedent(f'''
            import os, signal, sys, threading, time
            from mmw2s.pair.stages import Stage
            from mmw2s.study.slurm import Training

            training = Training(Stage("run", "unused.py", "run"),
                                [sys.executable, "-c", {script!r}, "run"])

            def requeue(number, frame):
                print("submitted again", type(training.checkpoint()).__name__)
                sys.exit()

            def tell():
                while not os.path.exists("run/ready"):
                    time.sleep(.01)
                for number in {does!r}:
                    # As Slurm does: each process of the job gets it.
                    os.kill(training._process.pid, number)
                    os.kill(os.getpid(), number)

            signal.signal(signal.SIGUSR2, requeue)
            signal.signal(signal.SIGTERM, lambda *_: None)
            threading.Thread(target=tell, daemon=True).start()
            print("ended with", training())''')
        return subprocess.run([sys.executable, '-c', code],
                              cwd=tmp_path,
                              env=dict(os.environ, **environment),
                              capture_output=True,
                              text=True,
                              timeout=60)

    return start


def scontrol(folder, shown):
    """Slurm's command, as it would answer; the environment that has it."""
    (folder / 'scontrol').write_text(f'#!/bin/sh\necho "{shown}"\n')
    (folder / 'scontrol').chmod(0o755)
    return dict(
        SLURM_JOB_ID='5', PATH=f'{folder}{os.pathsep}{os.environ["PATH"]}')


def test_a_job_out_of_time_ends_with_a_checkpoint_and_is_submitted_again(
        job, tmp_path):
    pytest.importorskip('submitit')
    found = job(LASTS, [int(signal.SIGUSR2)])
    assert found.stdout == 'submitted again DelayedSubmission\n', found.stderr
    assert (tmp_path / 'run' / 'stopped.pth').exists()


@pytest.mark.parametrize('when,told', [
    ('2026-12-01T16:08:51', 'submitted again DelayedSubmission'),
    ('None', 'ended with 143'),
])
def test_one_that_gets_a_sigterm_is_submitted_again_if_it_is_preempted(
        job, tmp_path, when, told):
    pytest.importorskip('submitit')
    shown = f'JobId=5 PreemptEligibleTime=2026-12-01T16:00 PreemptTime={when}'
    found = job(LASTS, [int(signal.SIGTERM)], **scontrol(tmp_path, shown))
    assert found.stdout == f'{told}\n', found.stderr
    assert (tmp_path / 'run' / 'stopped.pth').exists()


def test_one_that_is_preempted_before_it_can_save_is_submitted_again(
        job, tmp_path):
    pytest.importorskip('submitit')
    found = job(UNREADY, [int(signal.SIGTERM)],
                **scontrol(tmp_path, 'PreemptTime=2026-12-01T16:08:51'))
    assert found.stdout == 'submitted again DelayedSubmission\n', found.stderr


def test_one_that_has_not_begun_is_submitted_again(tmp_path):
    helpers = pytest.importorskip('submitit.helpers')
    training = Training(Stage('run', 'unused.py', str(tmp_path)), ['unused'])
    assert isinstance(training.checkpoint(), helpers.DelayedSubmission)
