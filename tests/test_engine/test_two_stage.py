# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The hook in runs of a tiny Faster R-CNN."""
import pytest
import torch
from builders import build, save, teacher_field
from mmengine.hooks import Hook
from runs import assert_same_weights, losses, rows, train, train_watched
from tiny_two_stage import cascade_rcnn, faster_rcnn
from toys import CLASSES, retinanet, run_config

from mmw2s.distillation import FrozenTeacher

ON = dict(type='Constant', value=1.)
KEYS = ['loss_kd_fpn', 'loss_kd_rpn', 'loss_kd_roi_cls']


@pytest.fixture(scope='module')
def teacher_of(tmp_path_factory):
    """Makes the hook's `teacher` field of a model."""

    def make(cfg):
        path = tmp_path_factory.mktemp('teacher') / 'teacher.pth'
        return teacher_field(cfg, path, dataset_meta=dict(classes=CLASSES))

    return make


class Seed(Hook):
    """Gives every step its own random numbers, resumed or not."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        torch.manual_seed(runner.iter)


def student(pictures, work_dir, teacher=None, epochs=1, **hook):
    hook = {'distill': 'full', **hook}
    hooks = [dict(type='WeakTeacherDistillHook', teacher=teacher, **hook)
             ] if teacher else []
    # Fewer RoIs than there are proposals, so that chance decides.
    return run_config(
        pictures,
        work_dir,
        epochs=epochs,
        model=faster_rcnn(50, sampled=8),
        hooks=hooks)


def kd(step):
    return [key for key in step if key.startswith('loss_kd_')]


def test_in_full_features_proposals_and_rois_are_distilled(
        pictures, teacher_of, tmp_path):
    cfg = student(pictures, tmp_path, teacher_of(faster_rcnn(18)), epochs=2)
    _, seen = train_watched(cfg)
    assert kd(seen[0]) == KEYS
    assert all(seen[0][key] > 0 for key in KEYS)
    assert kd(seen[-1]) == []  # faded by 30 % of the run
    events = [row['event'] for row in rows(tmp_path)]
    assert events[0] == 'teacher' and 'stop' in events


def test_the_choice_for_a_cascade_is_the_same(pictures, teacher_of, tmp_path):
    cfg = student(
        pictures, tmp_path, teacher_of(cascade_rcnn(18)), schedule=ON)
    cfg.model = cascade_rcnn(50)
    _, seen = train_watched(cfg)
    assert kd(seen[0]) == KEYS


def test_at_strength_0_training_is_bit_equal(pictures, teacher_of, tmp_path):
    later = dict(
        type='Linear', start=0., end=1., begin=1000, length=9, unit='iter')
    plain = train(student(pictures, tmp_path / 'plain'))
    hooked = train(
        student(
            pictures,
            tmp_path / 'hooked',
            teacher_of(faster_rcnn(18)),
            schedule=later,
            stop=dict(type='SurpassTeacher', latest=None)))
    assert_same_weights(plain, hooked)


def test_looking_at_training_losses_leaves_the_sampling_alone(
        pictures, teacher_of, tmp_path):
    later = dict(
        type='Linear', start=0., end=1., begin=1000, length=9, unit='iter')
    plain = train(student(pictures, tmp_path / 'plain'))
    hooked = train(
        student(
            pictures,
            tmp_path / 'hooked',
            teacher_of(faster_rcnn(18, sampled=8)),
            schedule=later,
            stop=dict(
                type='SurpassOnTrain', interval=1, margin=0.99, latest=None)))
    assert_same_weights(plain, hooked)


def test_from_the_stop_on_training_is_bit_equal(pictures, teacher_of,
                                                tmp_path):
    # MMEngine saves no random state, and the sampler draws numbers.
    distilled, seen = train_watched(
        student(
            pictures,
            tmp_path / 'w2s',
            teacher_of(faster_rcnn(18)),
            epochs=2,
            schedule=ON,
            stop=dict(type='At', epoch=1)), losses, Seed())
    assert [bool(kd(step)) for step in seen] == [True] * 4 + [False] * 4
    cfg = student(pictures, tmp_path / 'plain', epochs=2)
    cfg.resume, cfg.load_from = True, str(tmp_path / 'w2s' / 'epoch_1.pth')
    assert_same_weights(distilled, train(cfg, Seed()))


def test_of_a_teacher_of_another_kind_the_features_are_distilled(
        pictures, teacher_of, tmp_path):
    cfg = student(
        pictures,
        tmp_path,
        teacher_of(retinanet(18, channels=16)),
        schedule=ON)
    cfg.log_level = 'INFO'
    _, seen = train_watched(cfg)
    assert kd(seen[0]) == KEYS[:1]
    log, = (p.read_text() for p in tmp_path.glob('*/*.log'))
    assert 'goes without RPNOutputs: the teacher (RetinaNet) has no module' \
        in log
    assert 'goes without RoIHeadOutputs: ' in log
    assert 'pairs 3 levels of a common stride' in log
    assert "maps have 8 channels, the teacher's 16" in log


def test_a_teacher_of_other_classes_is_not_scored_and_ends_halfway(
        pictures, teacher_of, tmp_path, monkeypatch):
    monkeypatch.setattr('mmw2s.engine.session.score_teacher',
                        lambda *args: pytest.fail('scored'))
    other = teacher_of(faster_rcnn(18, num_classes=5))
    _, seen = train_watched(
        student(pictures, tmp_path / 'default', other, schedule=ON))
    assert [kd(step) for step in seen] == [KEYS[:2]] * 2 + [[]] * 2
    for kind in ('SurpassTeacher', 'SurpassOnTrain'):
        cfg = student(pictures, tmp_path, other, stop=dict(type=kind))
        with pytest.raises(
                ValueError, match=f'stop={kind} compares .*other classes'):
            train_watched(cfg)


@pytest.mark.slow
def test_a_teacher_that_needs_proposals_is_not_scored_without_them(
        pictures, teacher_of, tmp_path, monkeypatch):
    monkeypatch.setattr('mmw2s.engine.session.score_teacher',
                        lambda *args: pytest.fail('scored'))
    fast = faster_rcnn(18)
    fast['type'] = 'FastRCNN'
    del fast['rpn_head']
    fast['train_cfg'].pop('rpn')
    fast['train_cfg'].pop('rpn_proposal')
    fast['test_cfg'].pop('rpn')
    teacher = teacher_of(fast)
    _, seen = train_watched(
        student(pictures, tmp_path / 'default', teacher, schedule=ON))
    assert [len(kd(step)) for step in seen] == [2, 2, 0, 0]
    for kind in ('SurpassTeacher', 'SurpassOnTrain'):
        cfg = student(pictures, tmp_path, teacher, stop=dict(type=kind))
        with pytest.raises(ValueError, match='has no rpn_head.*type="At"'):
            train_watched(cfg)


@pytest.mark.parametrize('loss', [
    dict(type='DKDLoss', alpha=1., beta=0.25),
    dict(type='DISTLoss'),
])
def test_losses_of_softmax_scores_take_rois_and_their_labels(
        pictures, teacher_of, tmp_path, loss):
    _, seen = train_watched(
        student(
            pictures,
            tmp_path,
            teacher_of(faster_rcnn(18)),
            schedule=ON,
            distill=[
                dict(knowledge=dict(type='RoIHeadOutputs'), loss=loss),
                dict(
                    knowledge=dict(type='RoIHeadOutputs', output='boxes'),
                    loss=dict(type='BoxKDLoss'))
            ]))
    assert kd(seen[0]) == ['loss_kd_roi_cls', 'loss_kd_roi_box']
    assert all(0 < seen[0][key] < 100 for key in kd(seen[0]))


def test_channels_last_is_refused_for_it_would_give_wrong_values(
        pictures, tmp_path):
    cfg = student(pictures, tmp_path)
    cfg.custom_hooks = [dict(type='ChannelsLastHook')]
    with pytest.raises(
            ValueError,
            match='the FasterRCNN has operators of '
            'mmcv .*leave ChannelsLastHook out'):
        train_watched(cfg)


def test_a_two_stage_teacher_keeps_the_channels_first(tmp_path):
    path = save(build(faster_rcnn(18)), tmp_path / 'teacher.pth')
    teacher = FrozenTeacher(
        dict(default_scope='mmdet', model=faster_rcnn(18)), path)
    one_stage = build(retinanet(18)).to(memory_format=torch.channels_last)
    teacher.follow(one_stage)
    assert all(p.is_contiguous() for p in teacher.model.parameters())
