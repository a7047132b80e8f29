# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
from mmdet.datasets.transforms import PackDetInputs, Resize
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


PACK = dict(type='PackInputs')


def test_where_nothing_resizes_a_step_does_before_the_images_are_packed():
    crop = dict(type='RandomCrop', crop_size=32)
    cfg = run(crop, PACK)
    scale_images(cfg, .5)
    for steps in steps_of(cfg):
        assert steps[0] == crop and steps[2] == PACK
        assert steps[1]['type'] == 'Resize'
        assert steps[1]['scale_factor'] == .5


def test_boxes_are_resized_in_training_alone():
    # A validation compares with them in the coordinates of the whole image.
    cfg = run(
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='mmdet.PackDetInputs'))
    scale_images(cfg, .5)
    train, val = ([step['type'] for step in steps] for steps in steps_of(cfg))
    assert train == ['LoadAnnotations', 'mmdet.Resize', 'mmdet.PackDetInputs']
    assert val == ['mmdet.Resize', 'LoadAnnotations', 'mmdet.PackDetInputs']


@pytest.mark.parametrize('kind', [
    'mmdet.PackDetInputs', 'mmdet.datasets.transforms.PackDetInputs',
    PackDetInputs
])
def test_the_step_is_of_the_package_of_the_one_that_packs(kind):
    cfg = run(dict(type=kind))
    scale_images(cfg, .5)
    resize = steps_of(cfg)[0][0]
    assert resize['type'] == 'mmdet.Resize'
    with DefaultScope.overwrite_default_scope('mmengine'):
        assert isinstance(TRANSFORMS.build(resize), Resize)


@pytest.mark.parametrize('package', ['mmdet', 'mmpretrain', 'mmseg'])
def test_packages_know_the_step_that_is_added(package):
    pytest.importorskip(package)
    cfg = run(PACK)
    scale_images(cfg, .25)
    with DefaultScope.overwrite_default_scope(package):
        resize = TRANSFORMS.build(steps_of(cfg)[0][0])
    small = resize(dict(img=np.zeros((32, 40, 3), np.uint8)))
    assert small['img'].shape == (8, 10, 3)


@pytest.mark.parametrize('steps, said', [
    ([dict(type='RandomCrop', crop_size=32)], 'no step named Pack'),
    ([dict(type='TestTimeAug', transforms=[[PACK]])], 'no step named Pack'),
    ([dict(type='Resize', scale_factor=.5), PACK], 'how Resize is scaled'),
    ([dict(type='mmdet.FixShapeResize', width=32, height=32), PACK
      ], 'how mmdet.FixShapeResize is scaled'),
    ([dict(type='torchvision/ToTensor'), PACK
      ], 'how torchvision/ToTensor is scaled'),
])
def test_what_is_resized_in_an_unknown_way_is_refused(steps, said):
    with pytest.raises(
            ValueError, match=f'train_dataloader has none, .*{said}'):
        scale_images(run(*steps), .5)


def test_a_denoiser_is_for_images_of_one_size():
    cfg = run(PACK)
    cfg.model = dict(denoiser=dict(sample_size=32))
    with pytest.raises(ValueError, match='a denoiser is for images of one'):
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


def test_mosaics_batches_and_later_pipelines_follow_too():
    later = [dict(RESIZE, scale=(640, 640))]
    cfg = run(
        dict(type='Mosaic', img_scale=(640, 640)),
        dict(type='RandomAffine', border=(-320, -320)),
        custom_hooks=[
            dict(type='PipelineSwitchHook', switch_pipeline=later),
            dict(type='EMAHook')
        ])
    cfg.model.data_preprocessor = dict(
        type='DetDataPreprocessor',
        batch_augments=[
            dict(type='BatchSyncRandomResize', random_size_range=(480, 800)),
            dict(type='BatchFixedSizePad', size=(640, 640))
        ])
    scale_images(cfg, .5)
    train, _ = steps_of(cfg)
    assert [step.get('img_scale') or step['border']
            for step in train] == [(320, 320), (-160, -160)]
    assert cfg.custom_hooks[0].switch_pipeline[0].scale == (320, 320)
    resize, pad = cfg.model.data_preprocessor.batch_augments
    assert resize.random_size_range == (240, 400) and pad.size == (320, 320)


def test_a_border_that_cuts_is_no_size():
    cfg = run(dict(type='RandomAffine', border=(-320, -320)))
    assert image_size(cfg) == (224, 224)
