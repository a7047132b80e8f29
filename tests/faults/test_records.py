# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A record that is damaged, in whichever way, changes no decision."""
import json
import re
import shutil

import pytest
import torch
from mmengine.hooks import Hook

from mmw2s.records.files import EVENTS, FILENAME
from .drill import (assert_same, assert_same_weights, decisions, die, history,
                    train)

pytestmark = pytest.mark.slow


class CutAfter(Hook):
    """Ends a run after the validation of an epoch."""

    priority = 'LOWEST'

    def __init__(self, epoch):
        self.epoch = epoch

    def before_train_epoch(self, runner):
        if runner.epoch == self.epoch:
            die()


@pytest.fixture(scope='module')
def runs(tmp_path_factory, forked, teacher):
    """The unbroken run, and runs cut after 2 epochs and after 3, when the
    teacher has just gone."""
    folder = tmp_path_factory.mktemp('runs')
    assert forked(train, folder / 'whole', teacher).code == 0
    for epoch in (2, 3):
        forked(
            train,
            folder / str(epoch),
            teacher,
            prepare=lambda runner: runner.register_hook(CutAfter(epoch)))
        assert [row['iter'] for row in decisions(folder / str(epoch))
                ] == [0, 4, 8, 12, 12][:epoch + (2 if epoch == 3 else 1)]
    return folder


@pytest.fixture
def resumed(tmp_path, forked, teacher, runs, count):
    """Damages a file of a cut run, and resumes it."""

    def resume(name, damage, epoch):
        work_dir = tmp_path / 'run'
        shutil.copytree(runs / str(epoch), work_dir)
        path = work_dir / name
        content = damage(path.read_bytes())
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        ended = forked(train, work_dir, teacher, resume=True)
        assert ended.code == 0, ended.log
        count(f'damages of {name}')
        return work_dir, ended.log

    return resume


def lines(change):
    """A damage that changes the list of lines."""

    def damage(content):
        kept = content.splitlines(keepends=True)
        return b''.join(change(kept) or kept)

    return damage


def row(number, **fields):
    """A damage that changes fields of a line; those of None are removed."""

    def damage(content):
        rows = [json.loads(x) for x in content.splitlines()]
        rows[number].update(fields)
        for key in [k for k, v in fields.items() if v is None]:
            del rows[number][key]
        return ''.join(json.dumps(x) + '\n' for x in rows).encode()

    return damage


def swap(kept):
    kept[1], kept[2] = kept[2], kept[1]


JUNK = bytes(range(256))
OTHER_RUN = (b'{"event": "teacher", "iter": 0, "metrics": {}, "score": 9.0}\n'
             b'{"event": "stop", "iter": 2, "reason": "of another run"}\n')
OF_ROWS = dict(
    deleted=lambda content: None,
    empty=lambda content: b'',
    junk=lambda content: JUNK,
    zeros=lambda content: bytes(len(content)),
    zeros_at_the_end=lambda content: content[:-40] + bytes(40),
    junk_in_the_middle=lambda content: content[:90] + JUNK + content[90:],
    junk_at_the_end=lambda content: content + JUNK,
    a_blank_line=lines(lambda kept: kept[:2] + [b'\n'] + kept[2:]),
    not_utf_8=lambda content: content.replace(b'teacher', b'te\xffcher', 1),
    first_line_cut=lines(lambda kept: [kept[0][:30] + b'\n'] + kept[1:]),
    second_line_cut=lines(lambda kept: kept[:1] + [b'{"eve\n'] + kept[2:]),
    first_line_dropped=lines(lambda kept: kept[1:]),
    second_line_dropped=lines(lambda kept: kept[:1] + kept[2:]),
    all_but_one_dropped=lines(lambda kept: kept[:1]),
    last_line_dropped=lines(lambda kept: kept[:-1]),
    last_line_cut=lambda content: content[:-30],
    last_two_lines_cut=lambda content: content[:-200],
    last_line_without_its_end=lambda content: content[:-1],
    first_line_twice=lines(lambda kept: kept[:1] + kept),
    second_line_twice=lines(lambda kept: kept[:2] + kept[1:]),
    last_line_twice=lines(lambda kept: kept + kept[-1:]),
    all_lines_twice=lines(lambda kept: kept + kept),
    swapped=lines(swap),
    reversed=lines(lambda kept: kept[::-1]),
    a_list=lines(lambda kept: [b'[1]\n'] + kept[1:]),
    a_number=lines(lambda kept: kept[:1] + [b'4\n'] + kept[1:]),
    deeply_nested=lambda content: b'[' * 100000 + content,
    other_run=lambda content: OTHER_RUN,
    two_runs=lambda content: content + OTHER_RUN,
    event_unknown=row(1, event='vall'),
    event_of_another_type=row(1, event=[1]),
    event_missing=row(1, event=None),
    iter_missing=row(1, iter=None),
    iter_a_text=row(1, iter='4'),
    iter_a_fraction=row(1, iter=4.5),
    iter_true=row(1, iter=True),
    iter_negative=row(1, iter=-4),
    iter_huge=row(1, iter=10**30),
    iter_nan=row(1, iter=float('nan')),
    iter_of_another=row(1, iter=5),
    iter_of_the_last_too_early=row(-1, iter=6),
    metrics_missing=row(1, metrics=None),
    metrics_a_list=row(1, metrics=[0.5]),
    metrics_texts=row(1, metrics={'accuracy/top1': '33'}),
    metrics_nan=row(1, metrics={'accuracy/top1': float('nan')}),
    metrics_infinite=row(1, metrics={'accuracy/top1': float('inf')}),
    metrics_huge=row(2, metrics={'accuracy/top1': 1e300}),
    metrics_other=row(1, metrics={'accuracy/top1': -50.}),
    teacher_without_metrics=row(0, metrics=None),
    teacher_of_another_score=row(0, score=3.),
    a_stop_too_early=lines(
        lambda kept: kept[:2] +
        [b'{"event": "stop", "iter": 4, "reason": "damage"}\n']))


def is_cut_by_a_kill(whole, damaged, iteration):
    """Whether only what followed the checkpoint is missing at the end."""
    kept = (damaged or b'').rstrip(b'\0')
    lost = whole.splitlines()[kept.count(b'\n'):]
    return damaged is not None and whole.startswith(kept) and all(
        json.loads(line)['iter'] == iteration for line in lost)


BEFORE_THE_STOP = ('deleted', 'zeros_at_the_end', 'last_line_dropped',
                   'last_line_cut', 'last_line_twice', 'second_line_dropped',
                   'swapped', 'other_run', 'metrics_other', 'iter_huge')


@pytest.mark.parametrize('name, epoch',
                         [(name, 3)
                          for name in OF_ROWS] + [(name, 2)
                                                  for name in BEFORE_THE_STOP])
def test_decisions_survive_a_damaged_record(resumed, runs, name, epoch):
    work_dir, log = resumed(EVENTS, OF_ROWS[name], epoch)
    assert_same(work_dir, runs / 'whole')
    whole = (runs / str(epoch) / EVENTS).read_bytes()
    if not is_cut_by_a_kill(whole, OF_ROWS[name](whole), 4 * epoch):
        assert 'WARNING' in log and str(work_dir / EVENTS) in log


@pytest.mark.parametrize('name, said', [
    ('second_line_cut', 'line 2 of '),
    ('event_unknown',
     'line 2 of .*its event should be one of .*, but is .vall'),
    ('iter_a_text', 'line 2 of .*its iter should be a whole number'),
    ('second_line_twice', "line 3 of .*a second 'val' of iteration 4"),
    ('metrics_other', 'line 2 is not what the checkpoint holds'),
    ('deleted', 'does not exist'),
])
def test_the_warning_names_file_and_line(resumed, name, said):
    work_dir, log = resumed(EVENTS, OF_ROWS[name], 3)
    assert re.search('WARNING.*' + said, log)
    assert 'is taken from the checkpoint, which holds 3 rows' in log
    if name != 'deleted':
        assert (work_dir / EVENTS.replace('.', '.1.')).exists()


@pytest.mark.parametrize('name', ['deleted', 'second_line_cut', 'empty'])
def test_where_neither_tells_a_warning_says_so(tmp_path, forked, teacher, runs,
                                               name, count):
    work_dir = tmp_path / 'run'
    shutil.copytree(runs / '3', work_dir)
    saved = torch.load(work_dir / 'epoch_3.pth', weights_only=False)
    del saved['w2s']  # as one that an older version has saved
    torch.save(saved, work_dir / 'epoch_3.pth')
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_3.pth'))
    content = OF_ROWS[name]((work_dir / EVENTS).read_bytes())
    (work_dir / EVENTS).unlink()
    if content is not None:
        (work_dir / EVENTS).write_bytes(content)
    ended = forked(train, work_dir, teacher, resume=True)
    assert ended.code == 0, ended.log
    assert 'The checkpoint does not hold what was decided either' in ended.log
    assert str(work_dir / EVENTS) in ended.log
    count(f'damages of {EVENTS}')


def json_of(change):
    """A damage that changes the content that the JSON stands for."""

    def damage(content):
        content = json.loads(content)
        change(content)
        return json.dumps(content).encode()

    return damage


def in_row(number=0, **fields):
    return json_of(lambda content: content['history'][number].update(fields))


def without(*keys):

    def change(content):
        at = content
        for key in keys[:-1]:
            at = at[key]
        del at[keys[-1]]

    return json_of(change)


def with_(**fields):
    return json_of(lambda content: content.update(fields))


OF_HISTORY = dict(
    deleted=lambda content: None,
    empty=lambda content: b'',
    junk=lambda content: JUNK,
    zeros=lambda content: bytes(len(content)),
    cut=lambda content: content[:len(content) // 2],
    cut_at_the_end=lambda content: content[:-1],
    twice=lambda content: content * 2,
    line_dropped=lines(lambda kept: kept[1:]),
    lines_swapped=lines(lambda kept: kept[5:] + kept[:5]),
    not_utf_8=lambda content: content.replace(b'iter', b'it\xffr', 1),
    deeply_nested=lambda content: b'[' * 100000 + content,
    a_list=lambda content: b'[]',
    a_number=lambda content: b'1',
    null=lambda content: b'null',
    version_later=with_(schema_version=99),
    version_a_text=with_(schema_version='1'),
    version_a_list=with_(schema_version=[1]),
    version_true=with_(schema_version=True),
    version_missing=without('schema_version'),
    history_missing=without('history'),
    history_null=with_(history=None),
    history_a_dict=with_(history={}),
    history_of_numbers=with_(history=[1, 2]),
    run_a_list=with_(run=[]),
    finished_a_text=with_(finished='no'),
    targets_a_number=with_(targets=3),
    rows_twice=json_of(
        lambda content: content.update(history=content['history'] * 2)),
    rows_reversed=json_of(lambda content: content['history'].reverse()),
    iter_missing=without('history', 0, 'iter'),
    iter_a_text=in_row(iter='4'),
    iter_huge=in_row(iter=10**30),
    iter_nan=in_row(iter=float('nan')),
    iter_negative=in_row(iter=-1),
    clock_missing=without('history', 0, 'train_seconds'),
    clock_a_text=in_row(train_seconds='1'),
    clock_null=in_row(1, wall_seconds=None),
    clock_nan=in_row(1, wall_seconds=float('nan')),
    clock_huge=in_row(1, train_seconds=1e300),
    clock_of_another_run=in_row(train_seconds=1e6, wall_seconds=1e6),
    epoch_a_text=in_row(epoch='1'),
    metrics_missing=without('history', 0, 'metrics'),
    metrics_a_list=in_row(metrics=[1]),
    metrics_texts=in_row(metrics={'accuracy/top1': '33'}),
    metrics_infinite=in_row(metrics={'accuracy/top1': float('inf')}),
)


@pytest.mark.parametrize('name', OF_HISTORY)
def test_a_run_survives_a_damaged_history(resumed, runs, name):
    work_dir, log = resumed(FILENAME, OF_HISTORY[name], 2)
    assert decisions(work_dir) == decisions(runs / 'whole')
    assert_same_weights(work_dir, runs / 'whole')
    # What is left is told, and the clocks go on from the checkpoint's.
    assert 'WARNING' in log and str(work_dir / FILENAME) in log
    assert [at for at, _ in history(work_dir)] == [8, 12, 16]
    content = json.loads((work_dir / FILENAME).read_text())
    assert content['run']['recorded_from'] == 8
    clocks = torch.load(
        runs / '2' / 'epoch_2.pth', weights_only=False)['time_to_target']
    assert clocks['train_seconds'] <= content['history'][0]['train_seconds'] \
        < clocks['train_seconds'] + 100
    if name != 'deleted':
        assert (work_dir / FILENAME.replace('.', '.1.')).exists()
