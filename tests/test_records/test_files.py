# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os

import numpy as np
import pytest
import torch

from mmw2s.records.files import (read_record, scalar_metrics, set_aside,
                                 write_record)


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
