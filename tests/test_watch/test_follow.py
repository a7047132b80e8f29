# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os
import time

import pytest
from growing import GrowingRun

from mmw2s.cli import main
from mmw2s.watch import find_runs, follow


@pytest.fixture
def looks(monkeypatch):
    """What happens between two looks, one a look; each look's pause."""
    events, pauses = [], []

    def sleep(seconds):
        pauses.append(seconds)
        events.pop(0)()

    monkeypatch.setattr(time, 'sleep', sleep)
    return events, pauses


def test_runs_are_found_below_a_folder(grow, tmp_path):
    grow('study/teacher')
    grow('study/seeds/0').train(3)
    (tmp_path / 'study' / 'data').mkdir()
    grow('other', recorded=False)
    found = find_runs([str(tmp_path / 'study'), str(tmp_path / 'other') + '/'])
    assert [os.path.relpath(path, tmp_path)
            for path in found] == ['study/seeds/0', 'study/teacher', 'other']


def test_a_folder_without_a_run_may_get_one(tmp_path):
    assert find_runs([str(tmp_path), str(tmp_path)]) == [str(tmp_path)]
    assert find_runs([str(tmp_path / 'x')]) == [str(tmp_path / 'x')]


def test_a_run_is_followed_from_before_it_begins_to_its_end(
        tmp_path, looks, capsys):
    grown = GrowingRun(tmp_path / 'a')
    events, pauses = looks
    events += [
        lambda: grown.start().train(5), lambda: grown.train(5).validate(.1),
        lambda: None, lambda: grown.train(30).validate(.4).finish()
    ]
    row, = follow([str(tmp_path / 'a')], every=3.)
    assert row.state == 'finished' and not events
    assert min(pauses) >= 3.
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(' ', 1)[1] for line in lines] == [
        'a: waiting', 'a: started', 'a: its log is in 20260101_000001',
        'a: epoch 1: coco/bbox_mAP 0.1', 'a: epoch 4: coco/bbox_mAP 0.4',
        'a: finished'
    ]


def test_a_run_that_appears_later_is_followed_too(grow, tmp_path, looks,
                                                  capsys):
    first = grow('study/a').train(5)
    events, _ = looks
    events += [
        lambda: grow('study/b').train(5).finish(),
        lambda: first.finish(),
    ]
    rows = follow([str(tmp_path / 'study')])
    assert [row.name for row in rows] == ['a', 'b'] and not events
    assert 'b: finished' in capsys.readouterr().out


def test_slow_reading_is_done_less_often(grow, tmp_path, looks, monkeypatch):
    grown = grow('a').train(5)
    events, pauses = looks
    events.append(grown.finish)
    now = iter(range(0, 1000, 30))
    monkeypatch.setattr(time, 'monotonic', lambda: next(now))
    follow([str(grown.folder)])
    assert pauses == [pytest.approx(270.)]


def test_the_command_looks_once_and_writes_a_page(grow, tmp_path, capsys):
    grow('study/w2s_0', teacher=.3).train(10).validate(.1)
    grow('study/w2s_1').train(10)
    page = tmp_path / 'page.html'
    main(['watch', str(tmp_path / 'study'), '--once', '--html', str(page)])
    first, second = capsys.readouterr().out.splitlines()
    assert 'w2s_0: running, epoch 1.0 of 4, coco/bbox_mAP 0.1' in first
    assert 'w2s_1: running' in second
    assert page.read_text().count('<article') == 2


@pytest.mark.parametrize('every', ['0', '-1', 'nan'])
def test_the_command_refuses_a_pause_of_nothing(every, tmp_path):
    with pytest.raises(SystemExit, match='^mmw2s watch: error: --every'):
        main(['watch', str(tmp_path), f'--every={every}'])
