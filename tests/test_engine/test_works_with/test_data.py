# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The hook with images of many sizes, and mixed ones."""
import pytest
import torch
from runs import train_watched
from works_with import distilling, make_teacher

from mmw2s.distillation.teacher_outputs import TeacherOutputs

CAFFE = dict(mean=[103.5, 116.3, 123.7], std=[1., 1., 1.], bgr_to_rgb=False)


def seen_by_both(cfg, monkeypatch):
    """The pixels that student and teacher are given, step by step."""
    seen, look = [], TeacherOutputs._predict

    def note(view):
        pixels = []
        for inputs, norm in ((view._student_inputs,
                              cfg.model['data_preprocessor']), (view.inputs,
                                                                CAFFE)):
            mean, std = (
                torch.tensor(norm[key]).view(3, 1, 1)
                for key in ('mean', 'std'))
            pixels.append((inputs * std + mean).detach())
        seen.append((pixels[0], pixels[1].flip(1)))
        look(view)

    monkeypatch.setattr(TeacherOutputs, '_predict', note)
    train_watched(cfg)
    return seen


def load(*transforms):
    return [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True), *transforms,
        dict(type='PackDetInputs')
    ]


def resized_in_the_preprocessor(cfg):
    cfg.model.data_preprocessor.batch_augments = [
        dict(
            type='BatchSyncRandomResize',
            random_size_range=(64, 128),
            size_divisor=32,
            interval=1)
    ]


def resized_in_the_pipeline(cfg):
    cfg.train_dataloader.update(batch_size=1)
    cfg.train_dataloader.dataset.pipeline = load(
        dict(
            type='RandomChoiceResize',
            scales=[(64, 64), (96, 96)],
            keep_ratio=True))


def mixed_until_the_second_epoch(cfg):
    inner = cfg.train_dataloader.dataset
    inner.pipeline = load()[:2]
    size = dict(img_scale=(64, 64), pad_val=114.)
    cfg.train_dataloader.dataset = dict(
        type='MultiImageMixDataset',
        dataset=inner,
        pipeline=[
            dict(type='Mosaic', **size),
            dict(type='MixUp', ratio_range=(0.8, 1.6), **size),
            dict(type='Resize', scale=(64, 64), keep_ratio=True),
            dict(type='PackDetInputs')
        ])
    cfg.custom_hooks.append(
        dict(
            type='PipelineSwitchHook',
            switch_epoch=1,
            switch_pipeline=[
                dict(type='Resize', scale=(96, 96), keep_ratio=True),
                dict(type='PackDetInputs')
            ]))
    cfg.train_cfg.max_epochs = 2


@pytest.mark.parametrize('change', [
    resized_in_the_preprocessor, resized_in_the_pipeline,
    mixed_until_the_second_epoch
])
def test_the_teacher_sees_the_images_of_the_student(pictures, tmp_path,
                                                    monkeypatch, change):
    cfg = distilling(pictures, tmp_path / 'run',
                     make_teacher(tmp_path / 'caffe.pth', **CAFFE))
    change(cfg)
    seen = seen_by_both(cfg, monkeypatch)
    for given, converted in seen:
        torch.testing.assert_close(converted, given, rtol=0, atol=1e-2)
    sizes = [given.shape[-1] for given, _ in seen]
    assert len(set(sizes)) > 1
    if change is mixed_until_the_second_epoch:
        assert sizes == [64] * 4 + [96] * 4
