# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os

import pytest

from mmw2s.watch.run_files import RunFiles, is_run, stamps


@pytest.mark.parametrize('recorded', [True, False])
def test_a_run_is_read_from_its_record_or_from_its_logs_alone(
        grow, tmp_path, recorded):
    grow('run', recorded=recorded).train(10).validate(.2).train(3)
    files = RunFiles.read(str(tmp_path / 'run'))
    assert (files.iteration, files.finished, files.problems) == (13, False, [])
    assert [row['iter'] for row in files.history] == [10]
    assert [line.scalars['iter'] for line in files.lines][-1] == 13
    assert files.started == '20260101_000001'


def test_after_a_validation_the_lines_before_it_do_not_count(grow, tmp_path):
    run = grow('run').train(10).validate(.2).train(5)
    # Started again at the validation, and not yet a step further.
    run.start(at=10)
    record = tmp_path / 'run' / 'time_to_target.json'
    later = max(p.stat().st_mtime for p in (tmp_path / 'run').rglob('*')) + 5
    os.utime(record, (later, later))
    assert RunFiles.read(str(tmp_path / 'run')).iteration == 10


@pytest.mark.parametrize('name', ['time_to_target.json', 'w2s_record.jsonl'])
def test_what_is_damaged_is_told_and_the_rest_is_read(grow, tmp_path, name):
    grow('run', teacher=.3).train(10).validate(.2).train(1)
    # A last line without an end may still be written, this one is not.
    (tmp_path / 'run' / name).write_text('{"half\n{}\n')
    files = RunFiles.read(str(tmp_path / 'run'))
    assert len(files.problems) == 1 and name in files.problems[0]
    assert len(files.lines) == 11


def test_what_is_a_run(grow, tmp_path):
    grow('run')
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'readme.txt').write_text('no run')
    assert is_run(str(tmp_path / 'run'))
    assert not is_run(str(tmp_path / 'other'))
    assert not is_run(str(tmp_path / 'missing'))


def test_stamps_change_with_the_files_and_with_nothing_else(grow, tmp_path):
    run = grow('run').train(10)
    before = stamps(str(tmp_path / 'run'))
    assert stamps(str(tmp_path / 'run')) == before
    run.train(1)
    after = stamps(str(tmp_path / 'run'))
    assert {s.path for s in before} <= {s.path for s in after}
    assert after != before
    (tmp_path / 'run' / 'epoch_1.pth').write_bytes(b'')
    assert len(stamps(str(tmp_path / 'run'))) == len(after) + 1
