# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os.path as osp

import pytest

from mmw2s.analysis import Run
from mmw2s.analysis.run import cost, time_unit
from mmw2s.records.files import set_aside

METRIC = 'coco/bbox_mAP'


def test_a_run_is_read_from_its_work_dir(write_run):
    run = Run.load(
        write_run('a', [.1, .3, .2], seed=7, teacher=.25, stop_epoch=2))
    assert run.name == 'a' and run.finished
    assert run.facts['seed'] == 7
    assert run.best(METRIC, 'greater')['iter'] == 200
    assert run.best(METRIC, 'less')['iter'] == 100
    assert run.first_at(METRIC, .15, 'greater')['epoch'] == 2


def test_unknown_and_torn_events_are_passed_over(write_run):
    run = Run.load(write_run('a', [.1], teacher=.25, stop_epoch=2))
    assert [e['event'] for e in run.events[1:]] == ['teacher', 'stop']
    assert run.teacher['score'] == .25
    assert run.stop['epoch'] == 2


def test_a_baseline_has_no_events(write_run):
    run = Run.load(write_run('a', [.1]))
    assert run.events == [] and run.stop is None and run.teacher is None


def test_a_record_set_aside_can_be_named_itself(write_run):
    folder = write_run('a', [.1, .2])
    run = Run.load(osp.join(folder, 'time_to_target.json'), name='older')
    assert run.name == 'older' and len(run.history) == 2


def test_a_record_set_aside_has_the_teacher_of_its_own_run(
        write_run, tmp_path):
    folder = write_run('a', [.1], teacher=.25, stop_epoch=1)
    record, _ = set_aside(folder)
    write_run('later', [.2])
    (tmp_path / 'later' / 'time_to_target.json').rename(tmp_path / 'a' /
                                                        'time_to_target.json')
    assert Run.load(record).teacher['score'] == .25
    later = Run.load(folder)
    assert later.rows(METRIC)[0]['metrics'][METRIC] == .2
    assert later.events == [] and not later.had_teacher


def test_a_folder_at_home_can_be_named(write_run, tmp_path, monkeypatch):
    write_run('a', [.1])
    monkeypatch.setenv('HOME', str(tmp_path))
    run = Run.load('~/a')
    assert run.name == 'a'
    assert run.path == str(tmp_path / 'a' / 'time_to_target.json')


def test_a_folder_without_a_record_names_the_hook(write_run, tmp_path):
    with pytest.raises(
            FileNotFoundError,
            match='holds no .* and no training logged .*TimeToTarget'):
        Run.load(str(tmp_path))
    with pytest.raises(
            FileNotFoundError, match='nothing does not exist: expected'):
        Run.load(str(tmp_path / 'nothing'))


def test_a_run_without_a_validation_is_refused(write_run):
    with pytest.raises(ValueError, match='no validation yet'):
        Run.load(write_run('a', []))


def test_device_hours_are_the_wall_clock_times_the_devices(write_run):
    run = Run.load(write_run('a', [.1], seconds=1798., world_size=4))
    row = run.history[0]
    assert cost(run, row, 'device_hours') == 2.
    assert cost(run, row, 'wall_seconds') == 1800.
    assert cost(run, row, 'train_seconds') == 1798.
    assert cost(run, row, 'iter') == 100


@pytest.mark.parametrize('seconds, name', [(10, 's'), (1000, 'min'),
                                           (20000, 'h')])
def test_times_are_shown_in_a_fit_unit(write_run, seconds, name):
    run = Run.load(write_run('a', [.1], seconds=seconds))
    assert time_unit([run]).name == name
