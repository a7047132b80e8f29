# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os

import pytest
from builders import build, save
from rich.console import Console
from toys import retinanet, run_config, write_pictures

from mmw2s.profiling.dry_run import dry_run


@pytest.fixture
def data(tmp_path):
    (tmp_path / 'data').mkdir()
    return write_pictures(tmp_path / 'data')


@pytest.fixture
def hook(tmp_path):
    save(build(retinanet(18)), tmp_path / 't.pth')
    return dict(
        type='WeakTeacherDistillHook',
        teacher=dict(
            config=dict(default_scope='mmdet', model=retinanet(18)),
            checkpoint=str(tmp_path / 't.pth')))


def printed_by(cfg):
    console = Console(record=True, width=120, file=open(os.devnull, 'w'))
    dry_run(cfg, console)
    return console.export_text()


def test_a_dry_run_shows_pairs_losses_score_and_time(data, hook, tmp_path):
    hook['distill'] = 'full'
    text = printed_by(run_config(data, tmp_path / 'run', hooks=[hook]))
    assert 'neck[0]' in text and '2 x 16 x 8 x 8' in text
    assert 'bbox_head.scores[2]' in text and '2 x 2 x 2 x 3 x 2' in text
    assert 'loss_bbox' in text and 'loss_kd_fpn' in text
    assert 'coco/bbox_mAP = ' in text
    assert 'ms with the teacher' in text


def test_a_start_alone_shows_what_the_student_begins_with(
        data, hook, tmp_path):
    hook.update(start=dict(type='Inherit'), distill=[])
    text = printed_by(run_config(data, tmp_path / 'run', hooks=[hook]))
    assert 'start=Inherit' in text and '20 tensors, 3.9% of' in text
    assert 'each step is that of the baseline' in text


def test_a_dry_run_writes_nothing_into_the_work_dir(data, hook, tmp_path):
    printed_by(run_config(data, tmp_path / 'run', hooks=[hook]))
    assert not (tmp_path / 'run').exists()


def test_a_dry_run_shows_full_strength_though_the_schedule_begins_later(
        data, hook, tmp_path):
    hook['schedule'] = dict(
        type='Linear', start=0., end=1., begin=0.5, length=0.1, unit='run')
    text = printed_by(run_config(data, tmp_path / 'run', hooks=[hook]))
    line = next(
        x for x in text.split('\n') if 'loss_kd_fpn' in x and 'neck[0]' in x)
    assert float(line.split()[-2]) > 0


def test_what_it_says_in_full_is_the_configs_own(data, hook, tmp_path):
    text = printed_by(
        run_config(
            data, tmp_path / 'run', epochs=50, hooks=[hook], log_level='INFO'))
    in_full = text.split('In full:')[1]
    assert "type='WarmupHoldDecay'" in in_full
    assert "type='Constant'" not in in_full


def test_what_it_says_in_full_can_be_pasted_into_a_config(
        data, hook, tmp_path):
    text = printed_by(
        run_config(data, tmp_path / 'run', epochs=50, hooks=[hook]))
    pasted = {}
    exec(text.split('In full:')[1].split('\n\n')[0], pasted)
    w2s = pasted['default_hooks']['w2s']
    assert w2s['type'] == 'mmw2s.WeakTeacherDistillHook'
    assert w2s['teacher'] == hook['teacher']
    assert w2s['stop'] == dict(type='SurpassTeacher', consecutive=2, latest=.5)


def test_nothing_but_warnings_is_said_beside_the_results(
        data, hook, tmp_path, capfd):
    hook['stop'] = dict(type='SurpassTeacher', student_best=1000.)
    printed_by(
        run_config(
            data, tmp_path / 'run', epochs=50, hooks=[hook], log_level='INFO'))
    said = capfd.readouterr()
    assert 'INFO' not in said.out + said.err
    assert 'loading annotations' not in said.out  # pycocotools print
    assert 'too weak' in said.out + said.err


@pytest.mark.parametrize('at', [0, 1, 2])
def test_a_stop_within_the_first_steps_is_told(data, hook, tmp_path, at):
    hook['stop'] = dict(type='At', iter=at)
    with pytest.raises(ValueError, match='within its first three steps'):
        printed_by(run_config(data, tmp_path / 'run', hooks=[hook]))


def test_a_config_without_the_hook_has_nothing_to_show(data, tmp_path):
    with pytest.raises(ValueError, match='this config has none'):
        dry_run(run_config(data, tmp_path / 'run'))


def test_targets_that_the_evaluator_cannot_reach_are_told(
        data, hook, tmp_path, capfd):
    targets = dict(
        type='TimeToTargetHook',
        targets={
            'coco/bbox_AP': .3,
            'coco/bbox_mAP': 30
        })
    text = printed_by(
        run_config(data, tmp_path / 'run', hooks=[hook, targets]))
    assert 'coco/bbox_AP, but the evaluator gives coco/bbox_mAP' in text
    assert 'was 0.3 meant?' in text
    log = ''.join(capfd.readouterr())  # as a run says it, before it begins
    assert 'coco/bbox_AP, but the evaluator gives' in log
    assert log.count('was 0.3 meant?') == 1  # not by each of two checks
