# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os.path as osp
import runpy
import sys
from pathlib import Path

import pytest
from rich.console import Console

from mmw2s.analysis import choose_teacher
from mmw2s.records.files import set_aside

TOOL = osp.join(
    osp.dirname(__file__), '..', '..', 'tools', 'analysis_tools',
    'choose_teacher.py')
#: Against a student of 0.4 the band is 0.34 to below 0.4: epochs 4, 5 and 7.
CURVE = [.1, .2, None, .35, .38, .33, .39, .41]


@pytest.fixture
def run(write_run):
    """Write a teacher's run whose folder holds these checkpoints."""

    def write(scores=CURVE, files=(), **kwargs):
        folder = write_run('teacher', scores, **kwargs)
        for name in files:
            Path(folder, f'{name}.pth').touch()
        return folder

    return write


def every_epoch(count=8):
    return [f'epoch_{i}' for i in range(1, count + 1)]


def test_the_earliest_epoch_in_the_band_is_chosen(run):
    folder = run(files=every_epoch())
    choice = choose_teacher(folder, .4)
    assert choice.chosen.row['epoch'] == 4
    assert choice.chosen.checkpoint == osp.join(folder, 'epoch_4.pth')
    assert choice.available is choice.chosen
    assert [c.judged.verdict for c in choice.candidates
            ] == ['too weak'] * 2 + ['useful'] * 2 + [
                'too weak', 'useful', 'too strong'
            ]
    assert choice.advice()[-1] == \
        f'teacher.checkpoint: {osp.join(folder, "epoch_4.pth")}'


def test_a_record_set_aside_is_given_no_file_of_a_later_run(run):
    folder = run(files=every_epoch())
    (record, ) = set_aside(folder)
    choice = choose_teacher(record, .4)
    assert choice.chosen.row['epoch'] == 4 and choice.available is None


def test_the_record_itself_and_a_folder_at_home_can_be_named(
        run, tmp_path, monkeypatch):
    folder = run(files=every_epoch())
    monkeypatch.setenv('HOME', str(tmp_path))
    for path in (f'{folder}/time_to_target.json', '~/teacher'):
        choice = choose_teacher(path, .4)
        assert choice.chosen.checkpoint == osp.join(folder, 'epoch_4.pth')


def test_where_less_is_better_the_curve_is_read_the_other_way_round(run):
    folder = run([200., 100., 70., 50.], every_epoch(4), metric='FID')
    with pytest.raises(ValueError, match='give rule='):
        choose_teacher(folder, 60.)
    choice = choose_teacher(folder, 60., rule='less')
    assert choice.chosen.row['epoch'] == 3


@pytest.mark.parametrize('files, nearest', [
    (['epoch_7', 'epoch_5'], 5),
    (['epoch_3', 'epoch_7'], 7),
    (['epoch_1', 'epoch_6', 'epoch_8'], 6),
])
def test_of_a_deleted_checkpoint_the_nearest_that_is_there_is_named(
        run, files, nearest):
    choice = choose_teacher(run(files=files), .4)
    assert choice.chosen.row['epoch'] == 4 and not choice.chosen.checkpoint
    assert choice.available.row['epoch'] == nearest
    text = ' '.join(choice.advice())
    assert 'default_hooks.checkpoint.max_keep_ckpts=-1' in text
    assert f'is that of epoch {nearest}' in text
    assert f'epoch_{nearest}.pth' in choice.advice()[-1]


def test_a_folder_without_any_checkpoint_is_told_so(run):
    choice = choose_teacher(run(), .4)
    assert choice.available is None
    assert choice.advice()[-1].endswith('there is none in this folder.')


def test_checkpoints_by_iteration_and_best_ones_are_found(run):
    folder = run(files=['iter_100', 'best_coco_bbox_mAP_epoch_4', 'epoch_40'])
    choice = choose_teacher(folder, .4)
    assert osp.basename(choice.candidates[0].checkpoint) == 'iter_100.pth'
    assert osp.basename(
        choice.chosen.checkpoint) == 'best_coco_bbox_mAP_epoch_4.pth'


@pytest.mark.parametrize('scores, advice', [
    ([.1, .2, .3], 'train the teacher longer'),
    ([.5, .6], 'take a smaller teacher'),
    ([.1, .3, .5], 'passed between two validations, by epoch 3'),
])
def test_a_curve_without_a_useful_point_says_what_to_do(run, scores, advice):
    choice = choose_teacher(run(scores, every_epoch()), .4)
    assert choice.chosen is None and choice.available is None
    assert len(choice.advice()) == 1 and advice in choice.advice()[0]


def test_a_students_best_in_percent_is_refused(run):
    with pytest.raises(
            ValueError, match=r'student_best is 40, .*was 0.4 mean'):
        choose_teacher(run(), 40)


def test_the_whole_curve_is_printed(run):
    console = Console(record=True, width=100)
    choose_teacher(run(files=['epoch_5']), .4).print(console)
    lines = console.export_text().splitlines()
    row = next(line.split() for line in lines if line.strip().startswith('5'))
    assert row == ['5', '500', '0.38', '95%', 'useful', 'epoch_5.pth']
    assert sum('too' in line for line in lines) == 4
    assert any('Take epoch 4' in line for line in lines)


def run_tool(monkeypatch, *args) -> None:
    monkeypatch.setattr(sys, 'argv', [TOOL, *map(str, args)])
    runpy.run_path(TOOL, run_name='__main__')


def test_the_tool_prints_curve_and_checkpoint(run, monkeypatch, capsys):
    folder = run(files=every_epoch())
    run_tool(monkeypatch, folder, '--student-best', .4)
    shown = capsys.readouterr().out
    assert 'too strong' in shown and f'{folder}/epoch_4.pth' in shown


def test_the_tool_fails_where_there_is_no_useful_teacher(
        run, monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        run_tool(monkeypatch, run([.1]), '--student-best', .4)
    assert ended.value.code == 1
    assert 'train the teacher longer' in capsys.readouterr().out


@pytest.mark.parametrize('args, message', [
    (['--student-best', '0'], 'should be a finite number > 0'),
    (['--student-best', '1', '--metric', 'acc'], 'has no metric "acc"'),
])
def test_the_tool_ends_with_one_clear_line(run, monkeypatch, args, message):
    with pytest.raises(SystemExit, match=message):
        run_tool(monkeypatch, run(), *args)
