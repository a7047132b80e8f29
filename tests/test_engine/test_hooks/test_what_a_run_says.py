# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What stands in the log of a run, before, at and after the stop."""
from pathlib import Path

import pytest
import torch
from builders import teacher_field
from runs import scalars, train
from toys import retinanet, run_config

NEVER = dict(type='At', iter=10**6)


@pytest.fixture
def hook(tmp_path):
    """A teacher that has learned nothing, at full strength all along."""

    def hook(**fields):
        fields.setdefault('schedule', dict(type='Constant', value=1.))
        return dict(
            type='WeakTeacherDistillHook',
            teacher=teacher_field(retinanet(18), tmp_path / 't.pth', seed=0),
            **fields)

    return hook


def train_logged(cfg):
    """The run's scalars, line by line, and its log."""
    cfg.log_level = 'INFO'
    cfg.optim_wrapper.clip_grad = dict(max_norm=1e9)
    runner = train(cfg)
    log = Path(runner.log_dir, f'{runner.timestamp}.log')
    return scalars(runner), log.read_text()


def is_the_sum(line) -> bool:
    parts = sum(v for k, v in line.items() if 'loss' in k and k != 'loss')
    return line['loss'] == pytest.approx(parts, rel=1e-4)


def test_after_the_stop_the_logged_loss_is_the_task_losses_sum(
        pictures, hook, tmp_path):
    lines, _ = train_logged(
        run_config(
            pictures,
            tmp_path / 'run',
            epochs=2,
            hooks=[hook(stop=dict(type='At', iter=5))]))
    assert all(map(is_the_sum, lines))
    # The gradients' norm of the student alone is far from the mean of both.
    with_teacher, alone = lines[4]['grad_norm'], lines[5]['grad_norm']
    assert 'loss_kd_fpn' in lines[4] and 'loss_kd_fpn' not in lines[5]
    assert alone < with_teacher / 2


def test_so_it_is_where_a_step_ends_with_the_stop(pictures, hook, tmp_path):
    stop = dict(type='SurpassOnTrain', interval=3, min_looks=1, margin=-1e6)
    lines, log = train_logged(
        run_config(
            pictures, tmp_path / 'run', epochs=2, hooks=[hook(stop=stop)]))
    assert 'iteration 3: the student\'s training loss' in log
    assert all(map(is_the_sum, lines))
    assert 'loss_kd_fpn' not in lines[2] and lines[2]['loss'] < \
        lines[1]['loss'] / 2


@pytest.mark.slow
def test_so_it_is_after_a_resume_right_after_the_stop(pictures, hook,
                                                      tmp_path):
    stop = dict(type='At', iter=4)

    def cfg(epochs):
        return run_config(
            pictures, tmp_path / 'run', epochs=epochs, hooks=[hook(stop=stop)])

    train_logged(cfg(2))
    # The checkpoint was saved before the stop, at the end of its epoch.
    (tmp_path / 'run' / 'last_checkpoint').write_text(
        str(tmp_path / 'run' / 'epoch_1.pth'))
    resumed = cfg(3)
    resumed.resume = True
    lines, log = train_logged(resumed)
    assert 'is not defined in message_hub' not in log
    assert [line['iter'] for line in lines][-8:] == list(range(5, 13))
    assert all(map(is_the_sum, lines[-8:]))


def test_while_the_teacher_is_there_a_resumed_runs_losses_add_up_too(
        pictures, hook, tmp_path):
    stop = dict(type='At', iter=7)
    for epochs in (1, 2):
        cfg = run_config(
            pictures, tmp_path / 'run', epochs=epochs, hooks=[hook(stop=stop)])
        cfg.resume = epochs == 2
        # As usual, a line is the mean over a window that began before.
        cfg.log_processor = dict(window_size=4)
        lines, _ = train_logged(cfg)
    assert 'loss_kd_fpn' in lines[-4] and 'loss_kd_fpn' not in lines[-1]
    assert all(map(is_the_sum, lines[-4:]))


def test_the_log_says_when_it_will_end(pictures, hook, tmp_path):
    fading = dict(type='WarmupHoldDecay', hold=.25, decay=.25, unit='epoch')
    _, log = train_logged(
        run_config(
            pictures,
            tmp_path / 'run',
            epochs=2,
            hooks=[hook(schedule=fading, stop=dict(type='SurpassTeacher'))]))
    assert ('on until epoch 0.5, iteration 2 (the schedule), or sooner once '
            'coco/bbox_mAP > ') in log


@pytest.mark.slow
def test_the_teacher_is_judged_from_the_first_validation_to_the_last(
        pictures, hook, tmp_path, monkeypatch):
    scores = iter((.195, .2, .5, .5))
    monkeypatch.setattr('mmdet.evaluation.CocoMetric.compute_metrics',
                        lambda *_: dict(bbox_mAP=next(scores)))
    stop = dict(
        type='SurpassTeacher',
        metric='coco/bbox_mAP',
        teacher_score=.19,
        latest=None)
    _, log = train_logged(
        run_config(
            pictures, tmp_path / 'run', epochs=4, hooks=[hook(stop=stop)]))
    said = [
        'WARNING - The student is better than its teacher already in its '
        'first validation',
        'switched off for good at epoch 2.00',
        '95% as good',
        'WARNING - The teacher is too weak: coco/bbox_mAP 0.19 against',
        'The teacher, by the end of the run: coco/bbox_mAP 0.19 against',
        f'mmw2s compare BASELINE_RUN --w2s {tmp_path / "run"}',
    ]
    found = [log.index(text) for text in said]
    assert found == sorted(found)
    saved = torch.load(tmp_path / 'run' / 'epoch_3.pth', weights_only=False)
    assert saved['w2s']['student_best'] == .2  # by its last validation
