# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json

import pytest

from mmw2s.records.event_log import EventLog
from mmw2s.records.files import EVENTS, FILENAME

COST = dict(samples=12, train_seconds=1., wall_seconds=2., data_wait=None)


def start(work_dir):
    return EventLog().open_decisions(str(work_dir))


def resume(work_dir, iteration, checkpoint=None, saved=None):
    return EventLog().open_decisions(
        str(work_dir), iteration, checkpoint and str(checkpoint), saved)


@pytest.fixture
def record(tmp_path):
    record = start(tmp_path)
    record.append('teacher', 0, score=0.3, metrics={})
    record.append('val', 4, metrics={'coco/bbox_mAP': 0.25})
    record.append('val', 8, metrics={})
    return record


class TestDecisions:

    def test_rows_are_read_back_as_they_were_written(self, record, tmp_path):
        again = resume(tmp_path, 8)
        assert again.rows == record.rows
        assert again.of('val')[0] == dict(
            event='val', iter=4, metrics={'coco/bbox_mAP': 0.25})

    def test_a_row_is_on_disk_as_soon_as_it_is_appended(
            self, record, tmp_path):
        record.append('stop', 9, reason='why')
        lines = (tmp_path / EVENTS).read_text().splitlines()
        assert json.loads(lines[-1])['event'] == 'stop'

    def test_a_new_record_makes_its_folder(self, tmp_path):
        start(tmp_path / 'a' / 'b').append('val', 1)
        assert (tmp_path / 'a' / 'b' / EVENTS).exists()

    @pytest.mark.parametrize('at, kept', [(3, 1), (4, 2), (7, 2), (8, 3)])
    def test_rows_beyond_the_resumed_iteration_are_dropped_for_good(
            self, record, tmp_path, at, kept):
        resumed = resume(tmp_path, at)
        assert resumed.rows == record.rows[:kept]
        resumed.append('val', at + 1, metrics={})
        assert resume(tmp_path, 99).rows == resumed.rows

    @pytest.mark.parametrize('cut', [1, 5, 20])
    def test_a_last_line_that_a_kill_cut_short_is_dropped(
            self, record, tmp_path, cut):
        path = tmp_path / EVENTS
        path.write_text(path.read_text()[:-cut - 1])
        resumed = resume(tmp_path, 99)
        assert resumed.rows == record.rows[:2]
        resumed.append('val', 8, metrics={})
        assert resume(tmp_path, 99).rows == record.rows

    def test_a_work_dir_without_a_record_takes_the_one_beside_the_checkpoint(
            self, record, tmp_path):
        new = tmp_path / 'new'
        resumed = resume(new, 4, tmp_path / 'epoch_1.pth')
        assert resumed.rows == record.rows[:2]
        resumed.append('val', 8)
        assert len((new / EVENTS).read_text().splitlines()) == 3
        assert resume(tmp_path, 99).rows == record.rows

    def test_the_record_of_the_work_dir_goes_before_the_checkpoints(
            self, record, tmp_path):
        new = tmp_path / 'new'
        start(new).append('teacher', 0, score=0.9, metrics={})
        resumed = resume(new, 9, tmp_path / 'epoch_1.pth')
        assert [row['score'] for row in resumed.rows] == [0.9]

    def test_a_run_without_any_record_resumes_with_an_empty_one(
            self, tmp_path):
        checkpoint = tmp_path / 'away' / 'epoch_1.pth'
        assert resume(tmp_path, 5, checkpoint).rows == []

    def test_of_record_and_checkpoint_the_longer_is_taken(
            self, record, tmp_path):
        longer = [*record.rows, dict(event='stop', iter=8, reason='why')]
        assert resume(tmp_path, 8, saved=record.rows[:2]).rows == record.rows
        assert resume(tmp_path, 8, saved=longer).rows == longer
        assert len((tmp_path / EVENTS).read_text().splitlines()) == 4

    def test_each_row_is_read_once(self, record, tmp_path):
        resumed = resume(tmp_path, 8)
        assert next(resumed.unread()) == record.rows[0]
        assert list(resumed.unread()) == record.rows[1:]
        row = resumed.append('val', 12, metrics={})
        assert list(resumed.unread()) == [row]
        assert list(resumed.unread()) == []

    def test_what_is_recorded_while_it_is_read_comes_after(self, record):
        seen = []
        for row in record.unread():
            seen.append(row['event'])
            if row['iter'] == 8 and row['event'] == 'val':
                record.append('stop', 8, reason='why')
        assert seen == ['teacher', 'val', 'val', 'stop']


class TestRowsOfTheCheckpoint:

    def test_rows_that_the_record_lacks_are_taken_from_it(
            self, record, tmp_path, warned):
        saved = [*record.rows, dict(event='stop', iter=8, reason='why')]
        path = tmp_path / EVENTS
        path.write_text(path.read_text().splitlines(True)[0])
        assert resume(tmp_path, 8, saved=saved).rows == saved
        text, = warned
        assert f'{path} lacks 3 of the 4 rows' in text

    def test_a_record_that_holds_more_is_kept(self, record, tmp_path, warned):
        assert resume(tmp_path, 8, saved=record.rows[:2]).rows == record.rows
        assert not warned

    def test_a_record_of_another_run_is_set_aside(self, record, tmp_path,
                                                  warned):
        saved = [dict(record.rows[0], score=0.9)]
        before = (tmp_path / EVENTS).read_text()
        assert resume(tmp_path, 8, saved=saved).rows == saved
        assert (tmp_path / EVENTS.replace('.', '.1.')).read_text() == before
        assert 'another run' in warned[0] and 'holds 1 rows' in warned[0]

    def test_damaged_rows_of_it_are_not_used(self, record, tmp_path, warned):
        assert resume(tmp_path, 8, saved=[3]).rows == record.rows
        assert 'They are not used' in warned[0]

    def test_without_either_that_is_told(self, tmp_path, warned):
        assert resume(tmp_path, 5).rows == []
        text, = warned
        assert 'does not exist' in text and 'does not hold what' in text

    def test_a_record_of_later_rows_alone_is_told_of(self, tmp_path, warned):
        start(tmp_path).append('teacher', 9, metrics={})
        assert resume(tmp_path, 5).rows == []
        assert 'has no row up to iteration 5' in warned[0]


class TestSettingAside:

    def test_every_earlier_record_is_kept_under_another_name(
            self, record, tmp_path):
        old = (tmp_path / EVENTS).read_text()
        for _ in range(2):
            start(tmp_path).append('teacher', 0, metrics={})
        assert (tmp_path / EVENTS.replace('.', '.1.')).read_text() == old
        assert (tmp_path / EVENTS.replace('.', '.2.')).exists()
        assert len(resume(tmp_path, 99).rows) == 1

    @pytest.mark.parametrize('first', ['open_decisions', 'open_history'])
    def test_both_files_get_one_number_whichever_is_opened_first(
            self, tmp_path, first):
        for name in (EVENTS, FILENAME):
            (tmp_path / name).write_text(name)
        log = EventLog()
        getattr(log, first)(str(tmp_path))
        for name in (EVENTS, FILENAME):
            assert (tmp_path / name.replace('.', '.1.')).read_text() == name
            assert not (tmp_path / name).exists()

    def test_what_the_run_itself_has_written_stays(self, tmp_path):
        log = EventLog()
        log.open_history(str(tmp_path)).write([], finished=False)
        log.open_decisions(str(tmp_path)).append('teacher', 0, metrics={})
        assert sorted(path.name
                      for path in tmp_path.iterdir()) == [FILENAME, EVENTS]


class TestHistory:

    def test_it_goes_on_with_the_validations_up_to_the_resumed_iteration(
            self, tmp_path):
        log = EventLog()
        history = log.open_history(str(tmp_path), facts=dict(seed=0))
        for iteration in (4, 8, 12):
            log.validated(iteration, iteration / 4, {}, COST)
        history.write([], finished=False)
        resumed = EventLog().open_history(str(tmp_path), 8, facts=dict(seed=0))
        assert resumed.rows == history.rows[:2]
        assert resumed.facts == dict(seed=0)

    def test_one_that_is_lost_says_since_when_there_is_another(self, tmp_path):
        history = EventLog().open_history(str(tmp_path), 8)
        assert history.rows == []
        history.write([], finished=False)
        resumed = EventLog().open_history(str(tmp_path), 12)
        assert resumed.facts == history.facts == dict(recorded_from=8)


class TestValidations:

    @pytest.fixture
    def log(self, tmp_path):
        log = EventLog()
        log.open_history(str(tmp_path))
        log.open_decisions(str(tmp_path)).append('teacher', 0, metrics={})
        return log

    def test_both_files_have_a_validation_that_was_told_of_once(self, log):
        log.validated(4, 1 / 3, {'acc': .5, 'bad': float('nan')}, COST)
        metrics = {'acc': .5, 'bad': None}
        assert log.decisions['w2s'].of('val') == [
            dict(event='val', iter=4, epoch=1 / 3, metrics=metrics)
        ]
        assert log.history.rows == [
            dict(epoch=.333333, iter=4, **COST, metrics=metrics)
        ]

    @pytest.mark.parametrize('costs', [(COST, None), (None, COST),
                                       (COST, COST)])
    def test_several_may_tell_of_one_in_any_order(self, log, costs):
        for cost in costs:
            told = log.validated(4, 1., {'acc': .5}, cost)
            assert told == dict(iter=4, epoch=1., metrics={'acc': .5})
        assert [row['iter'] for row in log.decisions['w2s'].of('val')] == [4]
        assert [row['iter'] for row in log.history.rows] == [4]

    def test_each_validation_has_its_own_metrics(self, log):
        for iteration, score in ((4, .5), (8, .6)):
            log.validated(iteration, iteration / 4, {'acc': score}, COST)
        for rows in (log.decisions['w2s'].of('val'), log.history.rows):
            assert [(row['iter'], row['metrics']['acc'])
                    for row in rows] == [(4, .5), (8, .6)]

    def test_none_is_decided_on_after_the_stop(self, log):
        log.decisions['w2s'].append('stop', 4, reason='why')
        log.validated(4, 1., {}, COST)
        assert log.decisions['w2s'].of('val') == [] and len(
            log.history.rows) == 1

    def test_a_run_without_a_teacher_has_no_record_of_decisions(
            self, tmp_path):
        log = EventLog()
        log.open_history(str(tmp_path))
        log.validated(4, 1., {}, COST)
        log.history.write([], finished=True)
        assert [path.name for path in tmp_path.iterdir()] == [FILENAME]

    def test_nothing_is_recorded_once_it_is_closed(self, log, tmp_path):
        history, decisions = log.history, log.decisions['w2s']
        log.close()
        log.validated(4, 1., {}, COST)
        assert history.rows == [] and not decisions.of('val')
        assert not log.lacks(4)

    def test_it_lacks_what_one_of_the_two_lacks(self, log):
        assert log.lacks(4)
        log.validated(4, 1., {})
        assert log.lacks(4) and not log.decisions['w2s'].lacks(4)
        log.validated(4, 1., {}, COST)
        assert not log.lacks(4) and log.lacks(8)
        log.history.rows.clear()
        log.decisions['w2s'].append('stop', 8, reason='why')
        assert not log.decisions['w2s'].lacks(8) and log.lacks(8)
