# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import re
from html.parser import HTMLParser

import pytest

from mmw2s.watch import Row, Stage
from mmw2s.watch.page import RELOAD, Page

REFRESH = 'http-equiv="refresh"'


class Nesting(HTMLParser):
    """Checks that all tags but those without an end are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag != 'meta':
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def page(tmp_path):
    return Page(str(tmp_path / 'new' / 'page.html'), 'title')


@pytest.fixture
def text(tmp_path):
    return lambda: (tmp_path / 'new' / 'page.html').read_text()


def test_the_page_says_all_of_a_run(grow, row_of, page, text):
    grown = grow('a', teacher=.3, targets=(.2, .4)).train(10).validate(.1)
    grown.train(10).validate(.35).stop()
    page.show([row_of('a'), row_of('b')])
    seen = Nesting(text()).seen
    assert seen.count('article') == 2 and seen.count('svg') == 1
    for part in ('1 running, 1 waiting', 'epoch 2.0 of 4', '16 s left',
                 '0.5 s a step', 'coco/bbox_mAP 0.35',
                 'teacher 0.3, until epoch 2', 'target 0.2: epoch 2',
                 'target 0.4: not yet', 'value="0.5000"'):
        assert part in text()


def test_the_curve_ends_where_the_run_is(grow, row_of, page, text):
    grow('a', teacher=.3).train(10).validate(.1).train(10).validate(.2)
    page.show([row_of('a')])
    x = re.search(r'class="frame" x=".5" y=".5" width="(\d+)"', text())[1]
    first, last = (
        tuple(map(float, point.split(',')))
        for point in re.search(r'points="(.*?)"', text())[1].split()[::2])
    assert last[0] / float(x) == pytest.approx(.5, abs=.01)
    level = float(re.search(r'class="teacher".*?y1="(.*?)"', text())[1])
    # From .1 by way of .2 to the teacher's .3, and y goes down.
    assert first[1] - last[1] == pytest.approx(last[1] - level, abs=.2)


def test_a_long_curve_is_thinned_out_and_keeps_its_end(grow, row_of, page,
                                                       text):
    grown = grow('a', epochs=500, length=1)
    for i in range(500):
        grown.iter = i + 1
        grown.history.append(
            dict(
                epoch=i + 1,
                iter=i + 1,
                train_seconds=i,
                wall_seconds=i,
                metrics={'coco/bbox_mAP': i / 500}))
    grown.write()
    page.show([row_of('a')])
    points = re.search(r'points="(.*?)"', text())[1].split()
    assert 100 < len(points) <= 152
    assert f'cx="{points[-1].split(",")[0]}"' in text()


def test_the_page_needs_nothing_but_itself(grow, row_of, page, text):
    grow('a', teacher=.3).train(10).validate(.1)
    page.show([row_of('a')])
    assert not re.search(r'https?:|src=|href=|url\(|<script', text())


def test_it_reloads_itself_until_it_is_closed(page, text):
    page.show([Row.of(Stage('a', 'running'))])
    assert f'{REFRESH} content="{RELOAD}"' in text()
    page.show([Row.of(Stage('a', 'done'))])
    page.close()
    assert REFRESH not in text() and 'no longer watched' in text()
    assert '1 finished' in text()


def test_it_is_written_as_often_as_it_is_read(page, text, monkeypatch):
    now = [100.]
    monkeypatch.setattr('time.monotonic', lambda: now[0])
    page.show([Row.of(Stage('a', 'running'))])
    now[0] += RELOAD - .1
    page.show([Row.of(Stage('a', 'done'))])
    assert '1 running' in text()
    now[0] += .1
    page.show([Row.of(Stage('a', 'done'))])
    assert '1 finished' in text()


def test_what_comes_from_files_is_no_markup(grow, page, text):
    grown = grow('a', teacher=.3).train(10).validate(.1)
    (grown.folder / 'time_to_target.json').write_text('<script>')
    grown.stop()
    stage = Stage('<b>name', None, str(grown.folder))
    (grown.folder / 'w2s_record.jsonl').write_text('<i>\n\n')
    page.show([Row.of(stage)])
    Nesting(text())
    assert '&lt;b&gt;name' in text() and 'not valid JSON' in text()
