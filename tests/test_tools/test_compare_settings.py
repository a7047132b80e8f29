# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json
import runpy
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / 'tools' / 'analysis_tools'


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two baselines and two runs with a teacher, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name, scores in dict(
            base_0=[.1, .2, .3, .4],
            base_1=[.1, .2, .3, .41],
            w2s_0=[.2, .4, .4, .4],
            w2s_1=[.3, .4, .4, .4]).items():
        (tmp_path / name).mkdir()
        history = [
            dict(
                epoch=float(epoch),
                iter=10 * epoch,
                samples=80 * epoch,
                train_seconds=1. * epoch,
                wall_seconds=1. * epoch,
                metrics=dict(acc=score))
            for epoch, score in enumerate(scores, 1)
        ]
        (tmp_path / name / 'time_to_target.json').write_text(
            json.dumps(
                dict(
                    schema_version=1,
                    run=dict(
                        seed=int(name[-1]),
                        world_size=1,
                        batch_size_per_device=8,
                        devices=['cpu'],
                        versions=dict(torch='2.5')),
                    history=history,
                    targets=[],
                    finished=True)))
    return tmp_path


@pytest.fixture
def call(runs, monkeypatch):

    def call(tool, *argv):
        monkeypatch.setattr(sys, 'argv', [tool, *argv])
        runpy.run_path(str(TOOLS / tool), run_name='__main__')

    return call


def test_a_table_is_printed_and_written(call, runs, capsys):
    call('compare_settings.py', 'base_0', 'base_1', '--setting', 'early',
         'w2s_0', 'w2s_1', '--setting', 'one', 'w2s_0', '--out', 'report')
    shown = capsys.readouterr().out
    assert 'early' in shown and 'Written into report' in shown
    written = json.loads((runs / 'report' / 'settings.json').read_text())
    assert list(written['settings']) == ['early', 'one']


def test_a_teacher_is_counted_for_the_settings_named(call, runs, capsys):
    call('compare_settings.py', 'base_0', '--setting', 'early', 'w2s_0',
         '--setting', 'late', 'w2s_1', '--teacher', 'base_1', 'late',
         '--target', '0.4', '--curves', '--out', 'report')
    written = json.loads((runs / 'report' / 'settings.json').read_text())
    assert written['settings']['early']['teacher'] is None
    late = written['settings']['late']['targets'][0]
    assert late['median_with_teacher']['wall_seconds'] == 2 + 4
    assert (runs / 'report' / 'curves.png').is_file()
    assert "teacher's own training" in capsys.readouterr().out


@pytest.mark.parametrize('option', ['--teacher-strength', '--curves'])
def test_a_figure_without_a_folder_is_refused(call, capsys, option):
    with pytest.raises(SystemExit):
        call('compare_settings.py', 'base_0', '--setting', 'early', 'w2s_0',
             option)
    assert '--out' in capsys.readouterr().err


def test_a_redirected_table_is_as_wide_as_it_has_to_be(call, capsys):
    targets = [f'0.3{i}' for i in range(9)]
    call('compare_settings.py', 'base_0', 'base_1', '--setting', 'early',
         'w2s_0', 'w2s_1', '--target', *targets)
    shown = capsys.readouterr().out
    assert shown.count('4 (4-4)') == 8 and 'baseline' in shown


@pytest.mark.parametrize('settings, message', [
    (['--setting', 'early'], '"early" names no run'),
    (['--setting', 'early', 'w2s_0', '--setting', 'early', 'w2s_1'
      ], '"early" is given twice'),
    (['--setting', 'early', 'none'], 'none'),
    (['--setting', 'early', 'w2s_0', '--teacher', 'w2s_1'], 'no setting has'),
    (['--setting', 'early', 'w2s_0', '--teacher', 'w2s_1', 'late'
      ], 'for "late"'),
    (['--setting', 'early', 'w2s_0', '--pace', 'a', '--pace', 'b'
      ], '--pace is given twice for all settings'),
    (['--setting', 'early', 'w2s_0', '--pace', 'w2s_0/time_to_target.json'
      ], 'holds no step times'),
])
def test_what_is_wrong_is_told_in_a_line(call, settings, message):
    with pytest.raises(SystemExit, match=f'compare_settings.py: .*{message}'):
        call('compare_settings.py', 'base_0', *settings)


@pytest.mark.parametrize('tool, argv', [
    ('compare_settings.py', ['--setting', 'early', 'w2s_0']),
    ('compare_runs.py', ['--w2s', 'w2s_0']),
])
def test_a_folder_that_cannot_be_made_is_told_after_the_table(
        call, runs, capsys, tool, argv):
    (runs / 'file').write_text('')
    with pytest.raises(SystemExit, match=f'{tool}: .*file'):
        call(tool, 'base_0', *argv, '--out', 'file/report')
    assert 'acc' in capsys.readouterr().out
