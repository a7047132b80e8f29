# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
from mmengine import DefaultScope
from mmengine.config import Config
from mmengine.registry import TRANSFORMS

from mmw2s.pair.derive.images import image_size, scale_images


def run(*steps, **others):
    """A config whose data sets have these steps, the training's wrapped."""
    pipeline = [dict(type='LoadImageFromFile'), *steps]
    dataset = dict(type='CocoDataset', pipeline=pipeline)
    return Config(
        dict(
            model=dict(backbone=dict(type='ResNet')),
            train_dataloader=dict(
                dataset=dict(type='RepeatDataset', dataset=dataset)),
            val_dataloader=dict(dataset=dataset),
            **others))


def steps_of(cfg):
    return cfg.train_dataloader.dataset.dataset.pipeline[1:], \
        cfg.val_dataloader.dataset.pipeline[1:]


RESIZE = dict(type='Resize', scale=(1333, 800), keep_ratio=True)


@pytest.mark.parametrize('step, key, scaled', [
    (RESIZE, 'scale', (666, 400)),
    (dict(type='mmdet.RandomChoiceResize', scales=[(64, 32), (80, 32)
                                                   ]), 'scales', [(32, 16),
                                                                  (40, 16)]),
    (dict(type='RandomResizedCrop', scale=224), 'scale', 112),
    (dict(type='ResizeEdge', scale=256, edge='short'), 'scale', 128),
])
def test_what_resizes_resizes_to_a_part(step, key, scaled):
    cfg = run(step)
    scale_images(cfg, .5)
    for steps in steps_of(cfg):
        assert steps[0] == dict(step, **{key: scaled})


def test_crops_after_it_follow_and_shares_stay():
    cfg = run(
        dict(type='ResizeEdge', scale=256),
        dict(type='CenterCrop', crop_size=224),
        dict(
            type='RandomChoice',
            transforms=[[
                dict(
                    type='RandomCrop',
                    crop_type='relative_range',
                    crop_size=(.5, .5))
            ], [RESIZE]]))
    scale_images(cfg, .5)
    _, crop, choice = steps_of(cfg)[0]
    assert crop.crop_size == 112
    assert choice.transforms[0][0].crop_size == (.5, .5)
    assert choice.transforms[1][0].scale == (666, 400)


def test_where_nothing_resizes_a_step_does_before_the_images_are_packed():
    crop, pack = dict(type='RandomCrop', crop_size=32), dict(type='PackInputs')
    cfg = run(crop, pack)
    scale_images(cfg, .5)
    for steps in steps_of(cfg):
        assert steps[0] == crop and steps[2] == pack
        assert steps[1]['type'] == 'Resize'
        assert steps[1]['scale_factor'] == .5


@pytest.mark.parametrize('package', ['mmdet', 'mmpretrain', 'mmseg'])
def test_packages_know_the_step_that_is_added(package):
    pytest.importorskip(package)
    cfg = run(dict(type='PackInputs'))
    scale_images(cfg, .25)
    with DefaultScope.overwrite_default_scope(package):
        resize = TRANSFORMS.build(steps_of(cfg)[0][0])
    small = resize(dict(img=np.zeros((32, 40, 3), np.uint8)))
    assert small['img'].shape == (8, 10, 3)


def test_a_pipeline_that_neither_resizes_nor_packs_is_refused():
    cfg = run(dict(type='RandomCrop', crop_size=32))
    with pytest.raises(ValueError, match='train_dataloader has none, and no'):
        scale_images(cfg, .5)


def test_the_size_is_that_of_the_last_step_of_the_validation():
    cfg = run(
        dict(type='ResizeEdge', scale=256),
        dict(type='CenterCrop', crop_size=224))
    assert image_size(cfg) == (224, 224)
    assert image_size(run(RESIZE)) == (800, 1333)
    assert image_size(run()) == (224, 224)


def test_a_model_of_one_size_tells_it():
    cfg = run(RESIZE)
    cfg.model = dict(denoiser=dict(sample_size=32))
    assert image_size(cfg) == (32, 32)
