# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json
import os
import re
import socket
import subprocess
import sys
import time

import pytest
from growing import METRIC, GrowingRun

from mmw2s.records import lock
from mmw2s.watch import RunProgress


def read(run, earlier=None):
    return RunProgress.read(str(run.folder), earlier)


def make_older(folder, seconds):
    """Let all files look as if they were written that long ago."""
    then = time.time() - seconds
    for path in folder.rglob('*'):
        os.utime(path, (then, then))


def hold(folder, pid, host=None):
    """Write the lock file of a process."""
    (folder / '.w2s_lock').write_text(
        json.dumps(dict(pid=pid, host=host or socket.gethostname())))


@pytest.fixture
def ended_pid():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, '-c', ''])
    process.wait()
    return process.pid


def test_a_run_that_has_not_begun_is_waited_for(tmp_path):
    run = RunProgress.read(str(tmp_path / 'later'))
    assert run.state == 'waiting' and run.problem is None
    assert run.eta is run.share is None


def test_what_a_run_has_done_so_far(tmp_path):
    grown = GrowingRun(tmp_path, teacher=.3, targets=(.2, .4)).start()
    grown.train(10).validate(.1).train(10).validate(.25).stop().train(4)
    run = read(grown)
    assert run.state == 'running'
    assert (run.iteration, run.max_iters) == (24, 40)
    assert (run.epoch, run.max_epochs, run.share) == (2.4, 4, .6)
    assert run.metric == METRIC and run.teacher == .3
    assert run.curve == ((10, 1., .1), (20, 2., .25))
    assert run.best == (20, 2., .25)
    assert run.stop == (20, 2., 'surpassed')
    assert run.targets == ((METRIC, .2, 2., 20), (METRIC, .4, None, None))


def test_a_baseline_has_no_teacher(tmp_path):
    run = read(GrowingRun(tmp_path).start().train(3))
    assert not run.had_teacher and run.teacher is run.stop is None


@pytest.mark.parametrize('row, score', [
    (dict(score=.2, metric=METRIC, metrics={METRIC: .3}), .2),
    (dict(score=None, metric=None, metrics={METRIC: .3}), .3),
    (dict(score=None, metric=None, metrics={}), None),
])
def test_the_score_of_the_teacher_is_the_one_that_decides(
        tmp_path, row, score):
    grown = GrowingRun(tmp_path).start()
    grown.event('teacher', **row)
    run = read(grown.train(10).validate(.1))
    assert run.had_teacher and run.teacher == score


def test_the_end_is_told_by_the_latest_steps_and_validations(tmp_path):
    grown = GrowingRun(tmp_path, step=.5, validation=3., teacher=.3).start()
    assert read(grown).eta is None
    grown.train(5)
    assert read(grown).eta == 35 * .5
    grown.train(5).validate(.1)
    assert read(grown).validation_seconds == pytest.approx(3.)
    assert read(grown).eta == pytest.approx(30 * .5 + 3 * 3.)
    grown.train(8, step=.2)
    assert read(grown).step_seconds == .2
    assert read(grown).eta == pytest.approx(22 * .2 + 3 * 3.)


def test_a_run_without_our_hook_is_read_from_the_logs(tmp_path):
    grown = GrowingRun(tmp_path, recorded=False).start()
    grown.train(10).validate(.1).train(10).validate(.2).train(5)
    run = read(grown)
    assert (run.state, run.iteration, run.max_iters) == ('running', 25, 40)
    assert run.curve == ((10, 1., .1), (20, 2., .2))
    assert run.validation_seconds is None and run.eta == 15 * .5
    grown.train(5).validate(.3).train(10)
    assert read(grown).state == 'running'  # its last validation is due
    assert read(grown.validate(.4)).state == 'finished'


def test_a_run_is_finished_once_its_record_says_so(tmp_path):
    grown = GrowingRun(tmp_path).start().train(40).validate(.4)
    assert read(grown).state == 'running'
    run = read(grown.finish())
    assert run.state == 'finished' and run.eta == 0 and run.share == 1


def test_a_run_that_ended_early_by_its_own_wish_is_finished(tmp_path):
    run = read(GrowingRun(tmp_path).start().train(10).validate(.4).finish())
    assert run.state == 'finished' and run.share == 1


def test_a_resumed_run_goes_back_to_its_checkpoint(tmp_path):
    grown = GrowingRun(tmp_path).start()
    grown.train(10).validate(.1).train(10).validate(.2).train(7)
    make_older(tmp_path, 20)
    assert read(grown.start(at=10)).iteration == 10  # no line of it yet
    run = read(grown.train(2))
    assert (run.iteration, run.started) == (12, '20260101_000002')
    assert run.curve == ((10, 1., .1), )


def test_a_run_that_is_begun_anew_is_at_0(tmp_path):
    grown = GrowingRun(tmp_path).start().train(10).validate(.1).train(7)
    make_older(tmp_path, 20)
    run = read(grown.start())
    assert (run.state, run.iteration, run.curve) == ('running', 0, ())


def test_a_test_after_the_training_changes_nothing(tmp_path):
    grown = GrowingRun(tmp_path).start().train(40).validate(.4).finish()
    folder = tmp_path / '20270101_000000' / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text(f'{{"{METRIC}": 0.5, "step": 0}}\n')
    run = read(grown)
    assert (run.state, run.started) == ('finished', '20260101_000001')


def test_last_lines_that_are_half_written_are_left_out(tmp_path):
    grown = GrowingRun(tmp_path, teacher=.3).start().train(12)
    with open(grown.log / 'scalars.json', 'a') as file:
        file.write('{"iter": 13, "ti')
    with open(tmp_path / 'w2s_record.jsonl', 'a') as file:
        file.write('{"event": "stop", "it')
    run = read(grown)
    assert run.iteration == 12 and run.stop is run.problem is None


def test_of_a_long_log_only_the_end_is_read(tmp_path, monkeypatch):
    grown = GrowingRun(tmp_path, epochs=400).start().train(3000)
    monkeypatch.setattr('mmw2s.watch.run_files._TAIL', 500)
    monkeypatch.setattr(json, 'loads', counted := Counted(json.loads))
    assert read(grown).iteration == 3000
    assert counted.calls < 20


class Counted:

    def __init__(self, function):
        self.function, self.calls = function, 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        return self.function(*args, **kwargs)


@pytest.mark.parametrize('name, content, told', [
    ('w2s_record.jsonl', '{"event"\n{}\n', 'line 1 of .*jsonl is damaged'),
    ('w2s_record.jsonl', '{"event": "teacher", "metrics": 7}\n', 'int'),
    ('time_to_target.json', '{"schema_ver', 'is not valid JSON'),
    ('time_to_target.json', '{"schema_version": 1, "history": [7]}',
     'should be a dict'),
    ('time_to_target.json', '{"schema_version": 1, "history": [], '
     '"targets": [{}]}', 'KeyError'),
])
def test_what_cannot_be_read_is_told(tmp_path, name, content, told):
    grown = GrowingRun(tmp_path, teacher=.3).start().train(12)
    (tmp_path / name).write_text(content)
    run = read(grown)
    assert re.search(told, run.problem)


def test_odd_values_of_a_stop_are_passed_over(tmp_path):
    grown = GrowingRun(tmp_path).start().train(12)
    (tmp_path / 'w2s_record.jsonl'
     ).write_text('{"event": "stop", "metric": 1, "iter": [], "epoch": "x"}\n')
    run = read(grown)
    assert run.stop == (0, None, 'None') and run.problem is None


def test_a_damaged_record_leaves_what_the_logs_say(tmp_path):
    grown = GrowingRun(tmp_path).start().train(10).validate(.1).train(12)
    (tmp_path / 'time_to_target.json').write_text('{')
    run = read(grown)
    assert run.iteration == 22 and run.curve == ((10, 1., .1), )
    assert 'is not valid JSON' in run.problem


def test_texts_of_a_file_cannot_control_the_terminal(tmp_path):
    grown = GrowingRun(tmp_path, teacher=.3).start().train(5)
    grown.stop('\x1b[2Jgone')
    assert read(grown).stop.reason == '?[2Jgone'


def test_a_run_that_is_silent_for_long_is_stalled(tmp_path):
    grown = GrowingRun(tmp_path).start().train(5)
    make_older(tmp_path, 500)
    assert read(grown).state == 'running'
    make_older(tmp_path, 700)
    assert read(grown).state == 'stalled'


def test_a_checkpoint_is_a_sign_of_life(tmp_path):
    grown = GrowingRun(tmp_path).start().train(5)
    make_older(tmp_path, 700)
    (tmp_path / 'epoch_1.pth').write_text('')
    assert read(grown).state == 'running'


def test_a_run_of_slow_steps_may_be_silent_for_longer(tmp_path):
    grown = GrowingRun(tmp_path, step=300.).start().train(5)
    make_older(tmp_path, 700)
    assert read(grown).state == 'running'
    make_older(tmp_path, 1000)
    assert read(grown).state == 'stalled'


def test_a_run_whose_process_has_ended_has_failed(tmp_path, ended_pid):
    grown = GrowingRun(tmp_path).start().train(5)
    hold(tmp_path, ended_pid)
    assert read(grown).state == 'running'  # it may be another machine's
    make_older(tmp_path, 40)
    assert read(grown).state == 'failed'
    assert read(grown.finish()).state == 'finished'


def test_the_process_is_the_one_that_the_lock_names(tmp_path, monkeypatch):
    grown = GrowingRun(tmp_path).start().train(5)
    lock.hold(str(tmp_path))
    lock.release(str(tmp_path))
    make_older(tmp_path, 40)
    asked = []

    def gone(*args):
        asked.append(args)
        raise ProcessLookupError

    monkeypatch.setattr(os, 'kill', gone)
    assert read(grown).state == 'failed'
    assert asked == [(os.getpid(), 0)]


def test_nothing_is_known_of_processes_that_live_or_are_elsewhere(
        tmp_path, ended_pid):
    grown = GrowingRun(tmp_path).start().train(5)
    for process in ((os.getpid(), None), (ended_pid, 'another-machine')):
        hold(tmp_path, *process)
        make_older(tmp_path, 40)
        assert read(grown).state == 'running'


def test_files_that_have_not_changed_are_not_read_again(tmp_path, monkeypatch):
    grown = GrowingRun(tmp_path).start().train(5)
    earlier = read(grown)
    with monkeypatch.context() as patch:
        patch.setattr('mmw2s.watch.progress.RunFiles', None)
        assert read(grown, earlier) == earlier
    assert read(grown.train(1), earlier).iteration == 6


def test_what_was_read_grows_old_without_being_read_again(
        tmp_path, monkeypatch):
    grown = GrowingRun(tmp_path).start().train(5)
    earlier, later = read(grown), time.time() + 700
    monkeypatch.setattr(time, 'time', lambda: later)
    assert read(grown, earlier).state == 'stalled'
