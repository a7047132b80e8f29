# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json
import os

import numpy as np
import pytest
import torch

from mmw2s.records.files import (read_events, read_record, scalar_metrics,
                                 set_aside, teacher_and_stop, write_record)


def test_what_is_written_is_read(tmp_path):
    path = str(tmp_path / 'r.json')
    write_record(path, dict(history=[dict(iter=1)]))
    assert read_record(path)['history'] == [dict(iter=1)]
    assert [p.name for p in tmp_path.iterdir()] == ['r.json']


def test_a_failed_write_leaves_the_old_record_whole(tmp_path):
    path = str(tmp_path / 'r.json')
    write_record(path, dict(history=[]))
    with pytest.raises(ValueError):
        write_record(path, dict(history=[float('nan')]))
    assert read_record(path)['history'] == []


@pytest.mark.parametrize('text, message', [
    ('{"history', 'not valid JSON'),
    ('[]', 'not written by TimeToTargetHook'),
    ('{"history": []}', 'not written by TimeToTargetHook'),
    ('{"schema_version": 99, "history": []}', 'schema version 99'),
])
def test_what_is_no_record_is_refused(tmp_path, text, message):
    path = tmp_path / 'r.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_record(str(path))


def test_older_records_get_the_next_number_that_is_free_for_both(tmp_path):
    assert set_aside(str(tmp_path)) == []
    (tmp_path / 'w2s_record.1.jsonl').write_text('0')
    for n in (2, 3):
        (tmp_path / 'time_to_target.json').write_text(str(n))
        assert set_aside(
            str(tmp_path)) == [str(tmp_path / f'time_to_target.{n}.json')]
    assert (tmp_path / 'time_to_target.2.json').read_text() == '2'
    assert (tmp_path / 'w2s_record.1.jsonl').read_text() == '0'


def test_records_of_one_run_keep_one_number(tmp_path):
    (tmp_path / 'w2s_record.1.jsonl').touch()
    for name in ('time_to_target.json', 'w2s_record.jsonl'):
        (tmp_path / name).touch()
    assert [os.path.basename(path) for path in set_aside(str(tmp_path))
            ] == ['time_to_target.2.json', 'w2s_record.2.jsonl']


def test_all_kinds_of_scalars_become_floats():
    metrics = dict(
        a=1,
        b=np.float32(.5),
        c=torch.tensor(.25),
        d=float('inf'),
        e='0.1 0.2',
        f=[1],
        g=np.zeros(3),
        h=torch.zeros(3),
        i=np.int64(3))
    assert scalar_metrics(metrics) == dict(a=1., b=.5, c=.25, d=None, i=3.)


def row(event, iteration, **fields):
    return dict(event=event, iter=iteration, **fields)


def write_rows(path, *rows):
    path.write_text(''.join(json.dumps(each) + '\n' for each in rows))


def test_rows_of_further_hooks_are_between_those_of_the_first(tmp_path):
    write_rows(tmp_path / 'w2s_record.jsonl', row('teacher', 0), row('val', 4))
    write_rows(tmp_path / 'w2s_b_record.jsonl', row('teacher', 0),
               row('val', 2))
    write_rows(tmp_path / 'w2s_b_record.1.jsonl', row('stop', 1))
    assert [(r['iter'], r.get('hook')) for r in read_events(str(tmp_path))] \
        == [(0, None), (0, 'w2s_b'), (2, 'w2s_b'), (4, None)]
    older, = read_events(str(tmp_path), 'w2s_record.1.jsonl')
    assert older['event'] == 'stop'


def test_a_row_that_does_not_tell_where_it_stands_comes_first(tmp_path):
    write_rows(tmp_path / 'w2s_record.jsonl', row('val', 4), row('val', 'x'))
    assert [r['iter'] for r in read_events(str(tmp_path))] == ['x', 4]


@pytest.mark.parametrize('stops, teacher, stop', [
    (dict(w2s=9, w2s_b=4), 'w2s', 9),
    (dict(w2s=4, w2s_b=9), 'w2s_b', 9),
    (dict(w2s=4, w2s_z=6, w2s_a=9), 'w2s_a', 9),
    (dict(w2s=4, w2s_b=None), 'w2s_b', None),
    (dict(w2s=None, w2s_b=4), 'w2s', None),
])
def test_teacher_and_stop_are_those_of_the_hook_that_ended_last(
        stops, teacher, stop):
    rows = []
    for name, at in stops.items():
        hook = {} if name == 'w2s' else dict(hook=name)
        rows.append(row('teacher', 0, name=name, score=1., **hook))
        if at:
            rows.append(row('stop', at, **hook))
    found = teacher_and_stop(rows)
    assert found[0]['name'] == teacher
    assert found[1] == stop or found[1]['iter'] == stop


def test_a_teacher_with_a_score_is_the_one_to_judge_by():
    rows = [
        row('teacher', 0, score=.5),
        row('teacher', 0, score=None, hook='w2s_b'),
        row('stop', 4),
        row('stop', 9, hook='w2s_b')
    ]
    assert teacher_and_stop(rows) == (rows[0], rows[3])
    assert teacher_and_stop([]) == (None, None)


def test_no_number_is_taken_that_a_further_hooks_record_has(tmp_path):
    write_rows(tmp_path / 'w2s_record.jsonl', row('teacher', 0))
    write_rows(tmp_path / 'w2s_b_record.1.jsonl', row('teacher', 0))
    assert [os.path.basename(p) for p in set_aside(str(tmp_path))] == \
        ['w2s_record.2.jsonl']
