# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os
from pathlib import Path

import pytest
from mmengine.config import Config
from toys import retinanet

from mmw2s.pair.teacher import plan_teacher


@pytest.fixture
def cfg(student):
    return Config.fromfile(student)


@pytest.fixture
def own(cfg):
    """A teacher's config of the user's own, in the current folder."""
    teacher = cfg.copy()
    teacher.model = retinanet(18)
    teacher.dump('weak.py')
    return 'weak.py'


def hooked(cfg, **teacher):
    cfg.default_hooks['w2s'] = dict(
        type='mmw2s.WeakTeacherDistillHook', teacher=teacher)
    return cfg


def test_a_derived_teacher_is_trained_for_half_the_time_until_it_is_useful(
        cfg):
    made = plan_teacher(cfg, share=.9)
    hooks = made.cfg.default_hooks
    assert made.is_trained and made.cfg.model.backbone.blocks == [1] * 4
    assert made.cfg.train_cfg.max_epochs == 2
    assert hooks.stop_when_useful == dict(
        type='mmw2s.StopWhenUsefulHook', share=.9)
    assert hooks.time_to_target.type == 'mmw2s.TimeToTargetHook'
    assert hooks.checkpoint == dict(
        type='CheckpointHook', interval=1, by_epoch=True, max_keep_ckpts=-1)
    assert made.cfg.randomness.seed == 0
    assert 'derived, ' in made.notes[0]
    # The student's own config is as it was.
    assert cfg.to_dict() == Config.fromfile('student.py').to_dict()


def test_a_teacher_by_iterations_keeps_a_checkpoint_of_each_validation(cfg):
    cfg.train_cfg = dict(by_epoch=False, max_iters=8000)
    # Elsewhere, under another name or from later on they are not found.
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook',
        out_dir='x',
        filename_tmpl='e{}.pth',
        save_begin=5,
        published_keys=['meta'])
    made = plan_teacher(cfg)
    assert set(made.cfg.default_hooks.checkpoint) == {
        'type', 'by_epoch', 'interval', 'max_keep_ckpts', 'published_keys'
    }
    assert made.cfg.train_cfg.val_interval == 1000
    assert made.cfg.default_hooks.checkpoint.interval == 1000


def test_the_teacher_in_the_hook_is_taken_and_trained_as_its_config_says(
        cfg, own):
    made = plan_teacher(hooked(cfg, config=own, checkpoint='not_there.pth'))
    assert made.is_trained and made.notes == [
        f'Teacher: {os.path.abspath(own)}.'
    ]
    assert made.cfg.train_cfg.max_epochs == 4
    assert 'w2s' not in made.cfg.default_hooks


def test_weights_in_the_hook_that_exist_are_not_trained_again(cfg, own):
    Path('weak.pth').touch()
    made = plan_teacher(hooked(cfg, config=own, checkpoint='weak.pth'))
    assert not made.is_trained
    assert made.fields == dict(
        config=os.path.abspath(own), checkpoint=os.path.abspath('weak.pth'))


def test_what_is_named_goes_before_what_is_in_the_hook(cfg, own):
    Path('weak.pth').touch()
    cfg = hooked(cfg, config=own, checkpoint='weak.pth')
    assert plan_teacher(cfg, 'derive').cfg.train_cfg.max_epochs == 2
    assert plan_teacher(cfg, own).is_trained
    Path('other.pth').touch()
    made = plan_teacher(cfg, own, 'other.pth')
    assert made.fields['checkpoint'] == os.path.abspath('other.pth')


def test_what_else_the_hook_says_of_its_teacher_is_kept(cfg, own):
    made = plan_teacher(
        hooked(
            cfg,
            config=own,
            checkpoint='not_there.pth',
            cfg_options={'model.neck.num_outs': 3},
            scale=.5,
            fuse=True,
            score={'coco/bbox_mAP': .4}))
    assert made.is_trained and made.cfg.model.neck.num_outs == 3
    assert made.fields == dict(scale=.5, fuse=True)


def test_weights_of_a_derived_teacher_may_be_given(cfg):
    Path('weak.pth').touch()
    made = plan_teacher(cfg, 'derive', 'weak.pth')
    assert not made.is_trained
    assert made.fields == dict(checkpoint=os.path.abspath('weak.pth'))
    assert made.cfg.model.backbone.blocks == [1] * 4


def test_weights_that_are_named_have_to_exist(cfg):
    with pytest.raises(FileNotFoundError, match='"no.pth" does not exist'):
        plan_teacher(cfg, 'derive', 'no.pth')


def test_a_smaller_image_and_a_length_are_as_they_are_asked_for(cfg):
    made = plan_teacher(cfg, scale=.5, length=.25)
    for loader in (made.cfg.train_dataloader, made.cfg.val_dataloader):
        resize, = (s for s in loader.dataset.pipeline if s.type == 'Resize')
        assert resize.scale == (32, 32)
    assert made.cfg.train_cfg.max_epochs == 1


def test_options_of_the_teacher_change_its_config(cfg, own):
    options = {'model.backbone.base_channels': 4}
    made = plan_teacher(cfg, own, cfg_options=options)
    assert made.cfg.model.backbone.base_channels == 4
    Path('weak.pth').touch()
    made = plan_teacher(cfg, own, 'weak.pth', options)
    assert made.fields['cfg_options'] == options


def test_a_model_alone_cannot_be_trained(cfg):
    Config(dict(model=retinanet(18), default_scope='mmdet')).dump('weak.py')
    with pytest.raises(
            ValueError, match='no train_dataloader, .*--teacher-checkpoint'):
        plan_teacher(cfg, 'weak.py')


def test_weights_of_the_student_are_not_loaded_into_the_teacher(cfg):
    cfg.load_from = 'student.pth'
    assert plan_teacher(cfg).cfg.load_from is None
