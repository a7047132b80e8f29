# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Several runs at a time; they are small scripts, which train no one."""
import os
import signal

import pytest
from stage_scripts import FAILS, FINISHES, LASTS, run

from mmw2s.engine.hooks.stop_on_signal_hook import RunEnded
from mmw2s.records.files import write_record
from mmw2s.study import workers as module
from mmw2s.study.workers import LocalWorkers


def said(task):
    with open(task.stage.log) as file:
        return file.read().split()


def test_so_many_run_at_a_time_and_no_more(tasks):
    given, seen = tasks(*[FINISHES] * 5), []
    assert run(given, LocalWorkers(2), lambda r: seen.append(len(r))) == {}
    assert all(task.stage.is_done for task in given)
    assert max(seen) == 2 and seen[-1] == 0
    assert max(int(said(task)[0]) for task in given) == 2


def test_each_slot_has_a_gpu_of_its_own(tasks, monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '3,5')
    given = tasks(*[FINISHES] * 4)
    run(given, LocalWorkers(2))
    assert sorted(said(task)[1] for task in given) == ['3', '3', '5', '5']


def test_one_that_fails_stops_no_other_and_is_told_with_its_log(tasks):
    given = tasks(FAILS, FINISHES)
    found = run(given, LocalWorkers(1))
    assert list(found) == ['s0'] and given[1].stage.is_done
    assert 'exit code 3' in found['s0'] and '\n  why' in found['s0']
    assert given[0].stage.log in found['s0']


def test_one_that_cannot_begin_or_has_no_log_stops_no_other(
        tasks, monkeypatch):
    given, begin = tasks(FINISHES, FINISHES, FINISHES), LocalWorkers.begin

    def refuse(self, stage, cfg_options):
        if stage.name == 's0':
            raise RuntimeError('no place in the queue')
        job = begin(self, stage, cfg_options)
        if stage.name == 's1':
            job.process.kill()
            job.process.wait()
            os.remove(stage.log)
        return job

    monkeypatch.setattr(LocalWorkers, 'begin', refuse)
    found = run(given, LocalWorkers(1))
    assert found == dict(
        s0='it has not begun: no place in the queue',
        s1='exit code -9; it has no log')
    assert given[2].stage.is_done


def test_one_begins_as_soon_as_those_before_it_are_finished(tasks):
    given, seen = tasks(FINISHES, FINISHES, FINISHES), []
    order = [given[0]._replace(after=[given[2].stage]), *given[1:]]
    prepared = []
    order[0] = order[0]._replace(
        prepare=lambda: prepared.append(given[2].stage.is_done) or {})
    assert run(order, LocalWorkers(2),
               lambda r: seen.append([s.name for s in r])) == {}
    assert prepared == [True] and seen[0] == ['s1', 's2']
    assert given[0].stage.is_done


def test_what_comes_after_one_that_fails_does_not_begin(tasks):
    given = tasks(FAILS, FINISHES, FINISHES)
    order = [
        given[0], given[1]._replace(after=[given[0].stage]),
        given[2]._replace(after=[given[1].stage])
    ]
    found = run(order, LocalWorkers(2))
    assert list(found) == ['s0', 's1', 's2']
    assert found['s1'] == ('it has not begun: s0 should be finished before, '
                           'and did not finish or was not asked for')
    assert not os.path.exists(given[1].stage.work_dir)


def test_one_that_cannot_be_prepared_is_told_and_stops_no_other(tasks):

    def prepare():
        raise ValueError('no checkpoint is so good')

    given = tasks(FINISHES, FINISHES)
    found = run([given[0]._replace(prepare=prepare), given[1]],
                LocalWorkers(1))
    assert found == dict(s0='it has not begun: no checkpoint is so good')
    assert given[1].stage.is_done


def test_what_is_done_is_not_run_again(tasks):
    given = tasks(FAILS)
    os.makedirs(given[0].stage.work_dir)
    write_record(f'{given[0].stage.work_dir}/time_to_target.json',
                 dict(history=[], finished=True))
    assert run(given, LocalWorkers(1)) == {}


def test_a_run_that_outlived_an_earlier_call_is_waited_for(tasks, monkeypatch):
    given, looks = tasks(FINISHES, FINISHES), []
    held = given[0].stage.work_dir
    monkeypatch.setattr(
        module, 'holder', lambda folder: 'another'
        if folder == held and len(looks) < 3 else None)
    run(given, LocalWorkers(2), lambda r: looks.append([s.name for s in r]))
    assert looks[0] == ['s1'] and ['s0', 's1'] not in looks[:3]
    assert given[0].stage.is_done


def test_at_a_signal_all_end_with_a_checkpoint_and_no_other_begins(tasks):
    given = tasks(LASTS, LASTS, FINISHES)

    def look(running):
        ready = [f'{t.stage.work_dir}/ready' for t in given[:2]]
        if all(map(os.path.exists, ready)):
            os.remove(ready[0])
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(RunEnded) as ended:
        run(given, LocalWorkers(2), look)
    assert ended.value.code == 143
    for task in given[:2]:
        assert os.path.exists(f'{task.stage.work_dir}/stopped.pth')
    assert not os.path.exists(given[2].stage.work_dir)
