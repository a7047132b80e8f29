# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Damaged entries of the score cache: none ends a run or gives its score."""
import json
import os
import random

import pytest

from mmw2s.engine.score_cache import read_score, write_score

METRICS = {'coco/bbox_mAP': .433, 'coco/bbox_mAP_s': None, 'loss': 1.5}


def _edit(change):
    """A damage that leaves valid JSON."""

    def damage(path):
        with open(path) as file:
            entry = json.load(file)
        changed = change(entry)
        with open(path, 'w') as file:
            json.dump(entry if changed is None else changed, file)

    return damage


def _text(change):
    """A damage of the bytes."""

    def damage(path):
        with open(path, 'rb') as file:
            content = file.read()
        with open(path, 'wb') as file:
            file.write(change(content))

    return damage


def _folder(path):
    os.unlink(path)
    os.mkdir(path)


def _pipe(path):
    os.unlink(path)
    os.mkfifo(path)


def _dangling(path):
    os.unlink(path)
    os.symlink(f'{path}.gone', path)


def _loop(path):
    os.unlink(path)
    os.symlink(path, path)


def _flip(seed):
    """One byte of the content replaced by another."""

    def flip(content):
        rng = random.Random(seed)
        place = rng.randrange(len(content))
        other = (content[place] + rng.randrange(1, 256)) % 256
        return content[:place] + bytes([other]) + content[place + 1:]

    return _text(flip)


DAMAGES = dict(
    empty=_text(lambda c: b''),
    half=_text(lambda c: c[:len(c) // 2]),
    last_byte_missing=_text(lambda c: c[:-1]),
    first_byte_missing=_text(lambda c: c[1:]),
    zeros=_text(lambda c: bytes(len(c))),
    zeros_behind=_text(lambda c: c + bytes(9)),
    twice=_text(lambda c: c + c),
    not_utf8=_text(lambda c: b'\xff\xfe' + c),
    utf16=_text(lambda c: c.decode().encode('utf-16')),
    html=_text(lambda c: b'<html>please log in</html>'),
    deep=_text(lambda c: b'[' * 100_000),
    huge=_text(lambda c: c + b' ' * (2 << 20)),
    nan=_text(lambda c: c.replace(b'0.433', b'NaN')),
    infinity=_text(lambda c: c.replace(b'0.433', b'-Infinity')),
    digit=_text(lambda c: c.replace(b'0.433', b'0.933')),
    integer=_text(lambda c: c.replace(b'0.433', b'1')),
    text_score=_text(lambda c: c.replace(b'0.433', b'"0.433"')),
    true_score=_text(lambda c: c.replace(b'0.433', b'true')),
    null_score=_text(lambda c: c.replace(b'0.433', b'null')),
    overflow=_text(lambda c: c.replace(b'0.433', b'1e999')),
    an_earlier_format=_edit(lambda e: e['metrics']),
    a_list=_edit(lambda e: [e]),
    a_number=_edit(lambda e: 1),
    null=_edit(lambda e: 'null'),
    no_metrics=_edit(lambda e: e.pop('metrics') and None),
    metrics_null=_edit(lambda e: e.update(metrics=None)),
    metrics_a_list=_edit(lambda e: e.update(metrics=[.4])),
    metrics_lost=_edit(lambda e: e.update(metrics={})),
    a_metric_lost=_edit(lambda e: e['metrics'].pop('loss') and None),
    another_order=_edit(lambda e: e.update(
        metrics=dict(sorted(e['metrics'].items(), reverse=True)))),
    a_metric_renamed=_edit(
        lambda e: e['metrics'].update(x=e['metrics'].pop('loss'))),
    nested_score=_edit(lambda e: e['metrics'].update(loss={'x': 1.})),
    other_key=_edit(lambda e: e.update(key='0' * 32)),
    other_sum=_edit(lambda e: e.update(sha256='0')),
    later_format=_edit(lambda e: e.update(format=99)),
    more_fields=_edit(lambda e: e.update(more=1)),
    a_folder=_folder,
    a_pipe=_pipe,
    a_dangling_link=_dangling,
    a_loop_of_links=_loop,
    **{f'flip_{seed}': _flip(seed)
       for seed in range(20)})


@pytest.fixture
def entry(tmp_path):
    path = str(tmp_path / 'scores' / 'abc.json')
    write_score(path, METRICS)
    return path


def test_a_whole_entry_is_read_as_it_was_written(entry):
    assert list(read_score(entry).items()) == list(METRICS.items())


@pytest.mark.parametrize('damage', DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_entry_is_ignored_and_told_with_its_path(
        entry, damage, capfd):
    damage(entry)
    assert read_score(entry) is None
    text = ''.join(capfd.readouterr())
    assert entry in text and 'measured anew' in text


@pytest.mark.parametrize('damage', DAMAGES.values(), ids=DAMAGES)
def test_it_is_written_anew_or_that_is_told(entry, damage, capfd):
    damage(entry)
    write_score(entry, METRICS)
    if damage is _folder:
        assert 'could not be written, to keep a teacher\'s score' in ''.join(
            capfd.readouterr())
    else:
        assert read_score(entry) == METRICS


def test_an_entry_under_another_name_is_not_taken(entry):
    other = entry.replace('abc', 'abd')
    os.rename(entry, other)
    assert read_score(other) is None


def test_a_kill_while_writing_leaves_the_earlier_entry(entry, monkeypatch):

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'replace', killed)
    with pytest.raises(KeyboardInterrupt):
        write_score(entry, {'loss': 9.})
    assert read_score(entry) == METRICS
    assert os.listdir(os.path.dirname(entry)) == ['abc.json']
