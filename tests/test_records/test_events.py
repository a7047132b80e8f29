# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.records.events import check_rows, longer
from mmw2s.records.files import read_rows

TEACHER = dict(event='teacher', iter=0, metrics={'acc': 0.3}, score=0.3)
VAL = dict(event='val', iter=4, epoch=1.0, metrics={'acc': 0.1, 'bad': None})
TRAIN = dict(event='train', iter=5, student=float('nan'), teacher=1.0)
STOP = dict(event='stop', iter=8, reason='why')
BASELINE = dict(
    event='baseline', iter=9, metric='acc', student=.1, baseline=.2, epoch=2.)


def test_a_file_that_is_not_there_has_no_rows(tmp_path):
    assert read_rows(str(tmp_path / 'none.jsonl')) == []


@pytest.mark.parametrize('text, count', [('', 0), ('{}', 1), ('{}\n', 1),
                                         ('{}\n{"ev', 1), ('{}\n{}', 2)])
def test_a_last_line_may_be_cut_short(tmp_path, text, count):
    path = tmp_path / 'rows.jsonl'
    path.write_text(text)
    assert len(read_rows(str(path))) == count


@pytest.mark.parametrize('content', [
    b'{}\n{"ev\n', b'{}\n\n{}\n', b'{}\n[1]\n', b'{}\n3\n', b'{}\n\xff\xfe\n',
    b'{}\n' + b'[' * 100000 + b'\n', b'{}\n{"a\n{}\n'
])
def test_any_other_line_is_refused_by_its_number(tmp_path, content):
    path = tmp_path / 'rows.jsonl'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f'line 2 of {path} is damaged'):
        read_rows(str(path))


def test_rows_of_a_run_pass_with_fields_of_later_versions():
    check_rows(
        [dict(TEACHER, weights='abc'), VAL, TRAIN,
         dict(TRAIN, iter=6), STOP], 'x')
    check_rows([TEACHER, STOP, BASELINE], 'x')
    check_rows([], 'x')


@pytest.mark.parametrize('rows, message', [
    ({}, 'x should hold a list of rows'),
    ([3], 'line 1 of x .* should be a dict'),
    ([dict(TEACHER, event='tea')], 'one of teacher, start, val, train, stop'),
    ([dict(TEACHER, event=[])], 'one of teacher, start, val, train, stop'),
    ([dict(TEACHER, iter='0')], 'iter should be a whole number'),
    ([dict(TEACHER, iter=True)], 'iter should be a whole number'),
    ([dict(TEACHER, iter=-1)], 'iter should be a whole number'),
    ([dict(event='teacher', iter=0)], "has no 'metrics'"),
    ([TEACHER, dict(VAL, metrics={'a': 1e300})], 'line 2 .* finite numbers'),
    ([TEACHER, dict(VAL, metrics={'a': True})], 'finite numbers'),
    ([TEACHER, dict(VAL, metrics=[1])], 'finite numbers by metric'),
    ([TEACHER, dict(TRAIN, student=None)], 'student should be a number'),
    ([VAL], 'line 1 of x .* "teacher"'),
    ([TEACHER, VAL, TEACHER], 'line 3 of x .* "teacher"'),
    ([TEACHER, VAL, VAL], "line 3 .* a second 'val' of iteration 4"),
    ([TEACHER, TRAIN, VAL], 'its iter is 4, that of the line before 5'),
    ([TEACHER, VAL, dict(VAL, iter=6),
      dict(VAL, iter=5)], 'its iter is 5, that of the line before 6'),
    ([TEACHER, STOP, dict(VAL, iter=8)], 'nothing but "baseline" should'),
    ([TEACHER, STOP, BASELINE, dict(VAL, iter=9)], 'nothing but "baseline"'),
    ([TEACHER, dict(BASELINE, student=None)], 'student should be a finite'),
])
def test_what_no_run_can_have_written_is_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        check_rows(rows, 'x')


def test_the_longer_of_record_and_checkpoint_is_taken():
    short, long = [TEACHER, VAL], [TEACHER, VAL, TRAIN]
    assert longer(short, long, 5) == (long, None)
    assert longer(long, short, 5) == (long, None)  # NaN equals itself
    assert longer([], short, 4) == (short, None)


def test_where_they_disagree_the_checkpoint_wins():
    rows, why = longer([TEACHER, dict(VAL, epoch=2.)], [TEACHER, VAL], 4)
    assert rows == [TEACHER, VAL] and 'line 2' in why


def test_what_the_checkpoint_should_hold_and_does_not_is_not_of_its_run():
    rows, why = longer([TEACHER, VAL], [TEACHER], 8)
    assert rows == [TEACHER]
    assert 'line 2 is of iteration 4' in why
    assert longer([TEACHER, VAL], [TEACHER], 4)[1] is None
