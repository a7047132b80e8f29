# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What is in the page, without a browser."""
import json
import re
import sys
from html.parser import HTMLParser

import pytest
import recorded
from PIL import Image

from mmw2s.report import gather, make_report, vega, write_page

VOID = {'meta', 'input', 'img'}
EVIL = 'a<b>&"\'|$%é'


class Nesting(HTMLParser):
    """Checks that all tags but those without an end are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.texts = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if 'script' not in self.open and 'style' not in self.open:
            self.texts.append(data)


@pytest.fixture(autouse=True)
def no_code(monkeypatch):
    """Putting Vega's code together takes long; a browser's test has it."""
    pytest.importorskip('vl_convert')
    monkeypatch.setattr(vega, 'code', lambda: 'window.vegaEmbed = null;')


@pytest.fixture
def page(tmp_path):

    def page(report, **kwargs):
        write_page(report, str(tmp_path / 'page.html'), **kwargs)
        return (tmp_path / 'page.html').read_text()

    return page


def test_all_parts_are_there_in_order(report, page):
    text = page(report, margin=.02, command='mmw2s report a b')
    seen = Nesting(text)
    assert re.findall(r'<h2 id="(\w+)"', text) == \
        ['curves', 'targets', 'settings', 'notes', 'setting', 'raw']
    assert seen.seen.count('h1') == 1
    assert seen.seen.count('table') == seen.seen.count('caption') >= 5
    told = ' '.join(seen.texts)
    for part in ("80 % of the baseline's best in 2 epochs instead of 4",
                 'holds', 'mmw2s report a b', 'validations.csv'):
        assert part in told


def test_pictures_are_there_for_who_runs_no_code(report, page):
    text = page(report)
    stills = re.findall(r'<div class="chart".*?</svg>', text, re.DOTALL)
    assert len(stills) == 2 and all('<path' in still for still in stills)
    names = [
        name for x in stills for name in set(re.findall(' id="(.*?)"', x))
    ]
    assert len(names) == len(set(names))  # parts that refer to each other
    assert '<form class="controls" hidden>' in text


def test_a_still_page_is_the_same_without_code(report, page):
    text, still = page(report), page(report, interactive=False)
    assert '<script' in text and '<script' not in still
    told, expected = (' '.join(''.join(Nesting(x).texts).split())
                      for x in (still, text))
    assert told == expected
    assert 'data:text/csv' in still


def test_the_page_needs_nothing_but_itself(report, page):
    text = page(report)
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert '@import' not in text and not re.search(r'url\((?!#)', text)
    assert not re.search(r'https?://(?!www\.w3\.org|vega\.github\.io/schema)',
                         text)


def test_what_comes_from_files_is_no_markup(write_run, page):
    runs = {
        EVIL: [
            write_run(
                'x"<i>_s0', [.1, .2],
                teacher=.1,
                config='<script>alert(1)</script>')
        ]
    }
    report = make_report(
        gather([write_run('base<s>', [.1, .2])], runs), title='<u>T</u>')
    text = page(report, command='mmw2s report "<b>"')
    seen = Nesting(text)
    assert not {'b', 'i', 'u', 's'} & {tag for tag in seen.seen} - {'b'}
    assert text.count('<script') == 3 and EVIL in ''.join(seen.texts)


def test_a_run_alone_has_curves_and_no_speed_ups(write_run, page):
    text = page(make_report(gather([write_run('x', [.1, .2])])))
    Nesting(text)
    assert 'id="chart-curves"' in text and 'class="tiles"' not in text
    assert 'Speed-up' not in text and 'no baseline to compare with' in text


def test_fifty_settings_stay_below_five_megabytes(tmp_path, page):
    for i in range(50):
        rows = [{
            f'coco/bbox_mAP{s}': min(.9, .001 * (i + j) + .01)
            for s in ('', '_50', '_75')
        } for j in range(100)]
        recorded.write_run(tmp_path / 'arms' / f'arm {i:02} of many', rows)
    text = page(make_report(gather([str(tmp_path / 'arms')])))
    Nesting(text)
    assert len(text) < 4_000_000  # Vega's code is one more


def test_costs_of_steps_budgets_and_amendments_are_shown(
        folders, tmp_path, page):
    number = dict(median=2., low=1., high=3.)
    (tmp_path / 'step_cost.json').write_text(
        json.dumps(dict(modes={'on': number}, ratios={'on / off': number})))
    cost = dict(training=1., scoring=2., validation=3., total=6.)
    (tmp_path / 'budget.json').write_text(
        json.dumps(dict(students={'student_s0': cost}, total=6.)))
    (tmp_path / 'study.json').write_text(
        json.dumps(
            dict(
                amendments=[dict(what=['seeds'], why='one was lost')],
                commands=['python tools/train.py x.py'])))
    told = ' '.join(Nesting(page(make_report(gather([str(tmp_path)])))).texts)
    for part in ('on / off', 'student_s0', '["seeds"]', 'one was lost',
                 'python tools/train.py x.py'):
        assert part in told


def test_files_of_a_later_form_are_no_error(folders, tmp_path, page):
    for name, content in (('step_cost.json', dict(modes=[], ratios={})),
                          ('study.json', dict(amendments={'a': 1}, arms=3)),
                          ('budget.json', dict(students={}, total=None))):
        (tmp_path / name).write_text(json.dumps(content))
    Nesting(page(make_report(gather([str(tmp_path)]))))


def test_pictures_of_runs_are_side_by_side(folders, tmp_path, page):
    for run in ('base_s0', 'w2s_s0'):
        logs = tmp_path / run / '20260101_000000' / 'vis_data' / 'vis_image'
        logs.mkdir(parents=True)
        for step in (1, 2):
            Image.new('RGB', (900, 300)).save(logs / f'samples_{step}.png')
    (logs / 'samples_3.png').write_bytes(b'torn')
    text = page(make_report(gather(folders)))
    shown = re.findall(r'<img src="data:image/jpeg.*?alt="(.*?)"', text)
    assert shown == ['samples, step 2, of base', 'samples, step 2, of w2s']
    assert 'width="440" height="147"' in text


def test_without_vega_the_page_is_refused_in_words(report, page, monkeypatch):
    monkeypatch.setitem(sys.modules, 'vl_convert', None)
    with pytest.raises(ImportError, match=r'pip install "mmw2s\[report\]"'):
        page(report)
