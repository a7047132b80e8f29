# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import io
import os
import time

import pytest

from mmw2s.watch import Row, Stage
from mmw2s.watch.lines import PlainLines


@pytest.fixture
def shown():
    """Shows rows; gives the lines that were printed for them, without their
    time of day."""
    file = io.StringIO()
    lines = PlainLines(file)

    def shown(*rows):
        before = file.tell()
        lines.show(rows)
        return [
            line.split(' ', 1)[1]
            for line in file.getvalue()[before:].splitlines()
        ]

    return shown


def test_each_fact_has_a_line_once(grow, row_of, shown):
    assert shown(row_of('a')) == ['a: waiting']
    assert shown(row_of('a')) == []
    grown = grow('a', teacher=.3, targets=(.2, ))
    assert shown(
        row_of('a')) == ['a: started', 'a: the teacher has coco/bbox_mAP 0.3']
    grown.train(5)
    assert shown(row_of('a')) == ['a: its log is in 20260101_000001']
    grown.train(5).validate(.1)
    assert shown(row_of('a')) == ['a: epoch 1: coco/bbox_mAP 0.1']
    grown.train(10).validate(.35).stop()
    assert shown(row_of('a')) == [
        'a: epoch 2: coco/bbox_mAP 0.35',
        'a: coco/bbox_mAP 0.2 reached at epoch 2',
        'a: distillation off at epoch 2: surpassed'
    ]
    assert shown(row_of('a')) == []
    grown.finish()
    assert shown(row_of('a')) == ['a: finished']


def test_a_run_seen_for_the_first_time_has_one_line(grow, row_of, shown):
    grown = grow('a').train(10).validate(.1)
    line, = shown(row_of('a'))
    assert line.startswith('a: running, epoch 1.0 of 4, coco/bbox_mAP 0.1')
    grown.train(10).validate(.2)
    assert shown(row_of('a')) == ['a: epoch 2: coco/bbox_mAP 0.2']


def test_facts_of_two_runs_are_told_apart(grow, row_of, shown):
    a, b = grow('a').train(9), grow('b').train(9)
    shown(row_of('a'), row_of('b'))
    for run in (a, b):
        run.train(1).validate(.1)
    assert shown(row_of('a'), row_of('b')) == [
        f'{name}: epoch 1: coco/bbox_mAP 0.1' for name in 'ab'
    ]


def test_a_resumed_run_tells_what_it_repeats_with_another_score(
        grow, row_of, shown):
    grown = grow('a').train(10).validate(.1).train(10).validate(.2)
    shown(row_of('a'))
    grown.start(at=10).train(10).validate(.25)
    assert shown(row_of('a')) == [
        'a: its log is in 20260101_000002', 'a: epoch 2: coco/bbox_mAP 0.25'
    ]


def test_a_stalled_run_and_one_that_cannot_be_read_are_told(
        grow, row_of, shown):
    grown = grow('a').train(10)
    shown(row_of('a'))
    (grown.folder / 'w2s_record.jsonl').write_text('?\n\n')
    line, = shown(row_of('a'))
    assert line.startswith('a: cannot be read: line 1 of')
    for path in grown.folder.rglob('*'):
        os.utime(path, (time.time() - 1000, ) * 2)
    line, = shown(row_of('a'))
    assert line.startswith('a: stalled: nothing was written since ')
    assert shown(row_of('a')) == []


def test_a_stage_without_a_run_is_told_by_its_state(shown):
    assert shown(Row.of(Stage('report', 'waiting', None,
                              90.))) == ['report: waiting, takes 1 min 30 s']
    assert shown(Row.of(Stage('report', 'running'))) == ['report: started']
    assert shown(Row.of(Stage('report', 'failed'))) == ['report: failed']
