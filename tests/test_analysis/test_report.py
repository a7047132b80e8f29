# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json
import os.path as osp
import runpy
import sys

import pytest

from mmw2s.analysis import compare, print_tables, write_report
from mmw2s.analysis.report import to_dict, to_markdown

TOOL = osp.join(
    osp.dirname(__file__), '..', '..', 'tools', 'analysis_tools',
    'compare_runs.py')
SLOW = [.1, .2, .3, .4, .5]
FAST = [.3, .4, .5, .5, .5]


@pytest.fixture
def result(write_run):
    base = [write_run('b0', SLOW), write_run('b1', SLOW, seed=1)]
    w2s = [
        write_run('w0', FAST, teacher=.25, stop_epoch=2),
        write_run('w1', [.1] * 5, seed=1, teacher=.25)
    ]
    return compare(base, w2s, write_run('t', [.2, .25]), [.4, .9])


def cells(text, first, second) -> list:
    """The cells of the first line that begins with these two."""
    for line in text.splitlines():
        found = [cell.strip() for cell in line.strip('|').split('|')]
        if found[:2] == [first, second]:
            return found
    raise AssertionError(f'no line "{first} | {second}" in\n{text}')


def test_the_report_names_every_run_reached_or_not(result):
    text = to_markdown(result)
    assert cells(text, 'baseline', 'b0') == [
        'baseline', 'b0', '0', '4', '400', '40.0', '48.0', '0.0133', '0.4', '4'
    ]
    assert cells(text, 'w2s', 'w1')[3] == 'not reached'
    assert cells(text, 'w2s', 'median')[3] == 'not reached'
    assert cells(text, 'w2s', 'min')[3] == '2'
    assert cells(text, 'speed-up', 'of medians')[3] == '< 1.14x'
    assert text.count('## First at') == 2
    assert 'epoch 2: surpassed' in text


def test_the_report_states_the_setting(result):
    assert '- b1: config None, seed 1, 1 x cpu' in to_markdown(result)


def test_the_json_has_null_for_not_reached(result):
    content = json.loads(json.dumps(to_dict(result)))
    easy, hard = content['targets']
    assert easy['baseline']['median']['epoch'] == 4
    assert easy['w2s']['reached'] == 1
    assert easy['w2s']['median']['epoch'] is None
    assert easy['w2s']['range']['epoch'] == [2, None]
    assert easy['speedup']['epoch'] == dict(
        value=pytest.approx(4 / 3.5), bound='<', text='< 1.14x')
    assert hard['speedup']['epoch']['value'] is None
    assert content['teacher']['final'] == .25
    assert content['teacher_judged'] == dict(share=.5, verdict='too weak')
    assert content['w2s'][0]['switch_off']['epoch'] == 2


def test_the_terminal_shows_tables_and_verdict(result, capsys):
    print_tables(result)
    shown = capsys.readouterr().out
    assert 'First at coco/bbox_mAP of 0.4' in shown
    assert 'reached' in shown and 'sooner at 0 of 2 targets' in shown
    assert 'Note: 2 seeds a side' in shown


def test_write_report_leaves_three_files(write_run, tmp_path):
    out = tmp_path / 'deep' / 'report'
    result = write_report(
        write_run('t', [.2]),
        write_run('b', SLOW),
        write_run('w', FAST),
        str(out),
        targets=[.4],
        title='Quick start',
        figures=['detections.png'])
    assert {p.name
            for p in out.iterdir()
            } == {'report.md', 'report.json', 'curves.png'}
    text = (out / 'report.md').read_text()
    assert text.startswith('# Quick start\n')
    assert '![](curves.png)' in text and '![](detections.png)' in text
    assert json.loads((out / 'report.json').read_text())['metric'] == \
        result.metric


def run_tool(monkeypatch, *args) -> None:
    monkeypatch.setattr(sys, 'argv', [TOOL, *map(str, args)])
    runpy.run_path(TOOL, run_name='__main__')


def test_the_tool_compares_several_seeds_a_side(write_run, tmp_path,
                                                monkeypatch, capsys):
    base = [write_run(f'b{i}', SLOW) for i in range(3)]
    w2s = [write_run(f'w{i}', FAST) for i in range(3)]
    names = ['one', 'two', 'three', 'four', 'five', 'six']
    run_tool(monkeypatch, *base, '--w2s', *w2s, '--target', '80%', '0.45',
             '--out', tmp_path / 'out', '--names', *names)
    shown = capsys.readouterr().out
    assert all(name in shown for name in names) and 'seeds a side' not in shown
    content = json.loads((tmp_path / 'out' / 'report.json').read_text())
    assert [t['value'] for t in content['targets']] == [.4, .45]
    assert content['targets'][0]['speedup']['epoch']['value'] == 2


@pytest.mark.parametrize('extra, message', [
    (['--names', 'one'], 'should give 2 names, one a run, but got 1'),
    (['--metric', 'acc'], 'has no metric "acc"'),
    (['--teacher', 'nowhere'], 'nowhere does not exist'),
])
def test_the_tool_ends_with_one_clear_line(write_run, monkeypatch, extra,
                                           message):
    with pytest.raises(SystemExit, match=message):
        run_tool(monkeypatch, write_run('b', SLOW), '--w2s',
                 write_run('w', FAST), *extra)


def test_one_spike_is_reached_first_and_not_for_good(write_run):
    result = compare([write_run('b', [.1, .205, .154, .21, .22])],
                     [write_run('w', [.1, .21, .22, .3, .4])],
                     targets=[.2])
    text = to_markdown(result)
    assert cells(text, 'baseline', 'b')[3::6] == ['2', '4']
    assert cells(text, 'w2s', 'w')[3::6] == ['2', '2']
    assert cells(text, 'speed-up', 'of medians')[3::6] == ['1.00x', '2.00x']
    assert ('In epochs until reached for good (in two validations in a row): '
            'sooner at 1 of 1 target (2.00x at 0.2).') in text
    target, = to_dict(result)['targets']
    assert target['baseline']['runs_for_good'][0]['epoch'] == 4
    assert target['speedup_for_good']['epoch']['value'] == 2
