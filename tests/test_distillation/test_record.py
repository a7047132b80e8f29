# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json

import pytest

from mmw2s.analysis.record import EVENTS
from mmw2s.distillation.record import RunRecord


@pytest.fixture
def record(tmp_path):
    record = RunRecord.start(str(tmp_path))
    record.append('teacher', 0, score=0.3, metrics={})
    record.append('val', 4, metrics={'coco/bbox_mAP': 0.25})
    record.append('val', 8, metrics={})
    return record


def test_rows_are_read_back_as_they_were_written(record, tmp_path):
    again = RunRecord.resume(str(tmp_path), 8)
    assert again.rows == record.rows
    assert again.of('val')[0] == dict(
        event='val', iter=4, metrics={'coco/bbox_mAP': 0.25})


def test_a_row_is_on_disk_as_soon_as_it_is_appended(record, tmp_path):
    record.append('stop', 9, reason='why')
    lines = (tmp_path / EVENTS).read_text().splitlines()
    assert json.loads(lines[-1])['event'] == 'stop'


def test_a_new_record_makes_its_folder(tmp_path):
    folder = tmp_path / 'a' / 'b'
    RunRecord.start(str(folder)).append('val', 1)
    assert (folder / EVENTS).exists()


@pytest.mark.parametrize('at, kept', [(0, 1), (3, 1), (4, 2), (7, 2), (8, 3)])
def test_rows_beyond_the_resumed_iteration_are_dropped_for_good(
        record, tmp_path, at, kept):
    resumed = RunRecord.resume(str(tmp_path), at)
    assert resumed.rows == record.rows[:kept]
    resumed.append('val', at + 1, metrics={})
    assert RunRecord.resume(str(tmp_path), 99).rows == resumed.rows


@pytest.mark.parametrize('cut', [1, 5, 20])
def test_a_last_line_that_a_kill_cut_short_is_dropped(record, tmp_path, cut):
    path = tmp_path / EVENTS
    path.write_text(path.read_text()[:-cut - 1])
    resumed = RunRecord.resume(str(tmp_path), 99)
    assert resumed.rows == record.rows[:2]
    resumed.append('val', 8, metrics={})
    assert RunRecord.resume(str(tmp_path), 99).rows == record.rows


def test_every_earlier_record_is_kept_under_another_name(record, tmp_path):
    old = (tmp_path / EVENTS).read_text()
    for _ in range(2):
        RunRecord.start(str(tmp_path)).append('teacher', 0, metrics={})
    assert (tmp_path / EVENTS.replace('.', '.1.')).read_text() == old
    assert (tmp_path / EVENTS.replace('.', '.2.')).exists()
    assert len(RunRecord.resume(str(tmp_path), 99).rows) == 1


def test_a_work_dir_without_a_record_takes_the_one_beside_the_checkpoint(
        record, tmp_path):
    new = tmp_path / 'new'
    resumed = RunRecord.resume(str(new), 4, str(tmp_path / 'epoch_1.pth'))
    assert resumed.rows == record.rows[:2]
    resumed.append('val', 8)
    assert len((new / EVENTS).read_text().splitlines()) == 3
    assert RunRecord.resume(str(tmp_path), 99).rows == record.rows


def test_the_record_of_the_work_dir_goes_before_the_checkpoints(
        record, tmp_path):
    new = tmp_path / 'new'
    RunRecord.start(str(new)).append('teacher', 0, score=0.9, metrics={})
    resumed = RunRecord.resume(str(new), 9, str(tmp_path / 'epoch_1.pth'))
    assert [row['score'] for row in resumed.rows] == [0.9]


def test_a_run_without_any_record_resumes_with_an_empty_one(tmp_path):
    assert RunRecord.resume(
        str(tmp_path), 5, str(tmp_path / 'away' / 'epoch_1.pth')).rows == []


class TestRowsOfTheCheckpoint:

    def resume(self, record, tmp_path, saved, at=8):
        return RunRecord.resume(str(tmp_path), at, saved=saved).rows

    def test_rows_that_the_record_lacks_are_taken_from_it(
            self, record, tmp_path, warned):
        saved = [*record.rows, dict(event='stop', iter=8, reason='why')]
        path = tmp_path / EVENTS
        path.write_text(path.read_text().splitlines(True)[0])
        assert self.resume(record, tmp_path, saved) == saved
        text, = warned
        assert f'{path} lacks 3 of the 4 rows' in text

    def test_a_record_that_holds_more_is_kept(self, record, tmp_path, warned):
        assert self.resume(record, tmp_path, record.rows[:2]) == record.rows
        assert not warned

    def test_a_record_of_another_run_is_set_aside(self, record, tmp_path,
                                                  warned):
        saved = [dict(record.rows[0], score=0.9)]
        before = (tmp_path / EVENTS).read_text()
        assert self.resume(record, tmp_path, saved) == saved
        assert (tmp_path / EVENTS.replace('.', '.1.')).read_text() == before
        assert 'another run' in warned[0] and 'holds 1 rows' in warned[0]

    def test_damaged_rows_of_it_are_not_used(self, record, tmp_path, warned):
        assert self.resume(record, tmp_path, [3]) == record.rows
        assert 'They are not used' in warned[0]

    def test_without_either_that_is_told(self, tmp_path, warned):
        assert RunRecord.resume(str(tmp_path), 5).rows == []
        text, = warned
        assert 'does not exist' in text and 'does not hold what' in text

    def test_a_record_of_later_rows_alone_is_told_of(self, tmp_path, warned):
        RunRecord.start(str(tmp_path)).append('teacher', 9, metrics={})
        assert RunRecord.resume(str(tmp_path), 5).rows == []
        assert 'has no row up to iteration 5' in warned[0]
