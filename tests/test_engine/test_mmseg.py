# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Runs with segmentors of the real package, where it is installed."""
import copy

import builders
import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.structures import PixelData
from runs import find, rows, train, train_watched

from mmw2s import WeakTeacherDistillHook
from mmw2s.distillation.input_mapping import InputMapping
from mmw2s.distillation.recipes import default_distill

pytest.importorskip('mmseg.models')

CLASSES = ('wall', 'red', 'green')
BN = dict(type='BN')
RGB = dict(
    type='SegDataPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    size=(64, 64))
# Another normalization, another way to pad, and padding in prediction.
BGR = dict(
    type='SegDataPreProcessor',
    mean=[100.] * 3,
    std=[1.] * 3,
    pad_val=7,
    size_divisor=32,
    test_cfg=dict(size_divisor=32))


def segmentor(depth=18, head='FCNHead', classes=3, prepared=RGB, **head_cfg):
    wide = 4 if depth >= 50 else 1
    widths = [4 * 2**i * wide for i in range(4)]
    own = dict(FCNHead=dict(num_convs=1), PSPHead=dict(pool_scales=(1, 2)))
    common = dict(
        in_index=3,
        in_channels=widths[3],
        channels=8,
        num_classes=classes,
        norm_cfg=BN)
    auxiliary = dict(
        common, type='FCNHead', num_convs=1, in_index=2, in_channels=widths[2])
    return dict(
        type='EncoderDecoder',
        data_preprocessor=prepared,
        backbone=dict(
            type='ResNetV1c',
            depth=depth,
            base_channels=4,
            stem_channels=4,
            strides=(1, 2, 1, 1),
            dilations=(1, 1, 2, 4),
            norm_cfg=BN),
        decode_head=dict(common, type=head, **own.get(head, {}), **head_cfg),
        auxiliary_head=[auxiliary, dict(auxiliary)],
        train_cfg=dict(),
        test_cfg=dict(mode='whole'))


def cascade(depth=18):
    cfg = segmentor(depth)
    first = cfg.pop('auxiliary_head')[0]
    last = dict(cfg['decode_head'], type='OCRHead', ocr_channels=4)
    del last['num_convs']
    return dict(
        cfg,
        type='CascadeEncoderDecoder',
        num_stages=2,
        decode_head=[first, last])


def build(cfg):
    return builders.build(copy.deepcopy(cfg), scope='mmseg')


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """Six images of two sizes with a square of one of two classes."""
    root = tmp_path_factory.mktemp('images')
    random = np.random.default_rng(0)
    for folder in ('img', 'ann'):
        (root / folder).mkdir()
    for i in range(6):
        labels = np.zeros((60, 64) if i % 2 else (64, 50), np.uint8)
        y, x = random.integers(0, 25, 2)
        labels[y:y + 24, x:x + 24] = 1 + i % 2
        image = random.integers(0, 90, (*labels.shape, 3)).astype(np.uint8)
        image[labels == 1, 2] += 150
        image[labels == 2, 1] += 150
        cv2.imwrite(str(root / 'img' / f'{i}.png'), image)
        cv2.imwrite(str(root / 'ann' / f'{i}.png'), labels)
    return root


def run(images, work_dir, student, teacher=None, names=CLASSES, **hook):
    """A run of two epochs of three iterations."""
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs')
    ]
    loader = dict(
        batch_size=1,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='BaseSegDataset',
            data_root=str(images),
            data_prefix=dict(img_path='img', seg_map_path='ann'),
            img_suffix='.png',
            seg_map_suffix='.png',
            metainfo=dict(classes=CLASSES),
            pipeline=pipeline))
    cfg = Config(
        dict(
            default_scope='mmseg',
            custom_imports=dict(
                imports=['mmseg.datasets', 'mmseg.evaluation']),
            model=student,
            train_dataloader=dict(loader, batch_size=2),
            val_dataloader=loader,
            val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
            train_cfg=dict(by_epoch=True, max_epochs=2, val_interval=1),
            val_cfg=dict(),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            randomness=dict(seed=0),
            work_dir=str(work_dir)))
    if teacher is not None:
        cfg.custom_hooks = [
            dict(
                type='WeakTeacherDistillHook',
                teacher=builders.teacher_field(
                    copy.deepcopy(teacher),
                    work_dir.parent / 'teacher.pth',
                    scope='mmseg',
                    dataset_meta=dict(classes=names)),
                **hook)
        ]
    return cfg


FULL = dict(warmup=0., hold=1., decay=0.)


def test_a_segmentor_is_taught_until_it_is_better_than_its_teacher(
        images, tmp_path):
    teacher = segmentor(18, prepared=BGR)
    cfg = run(
        images,
        tmp_path / 'run',
        segmentor(50, 'PSPHead'),
        teacher,
        schedule=FULL,
        stop=dict(consecutive=1, margin=-100., latest=1.))
    runner, seen = train_watched(cfg)
    assert [step['loss_kd_seg'] > 0
            for step in seen[:3]] == [True] * 3 and len(seen) == 6
    assert all('loss_kd_seg' not in step for step in seen[3:])
    assert all(np.isfinite(step['loss']) for step in seen)
    row, = rows(cfg.work_dir, 'teacher')
    stop, = rows(cfg.work_dir, 'stop')
    assert row['metric'] == 'mIoU' and row['evaluators'] == ['mmseg.IoUMetric']
    assert stop['iter'] == 3 and 'surpassed the teacher' in stop['reason']
    assert find(runner, WeakTeacherDistillHook) is not None
    # What mmseg itself says of that teacher on that data.
    alone = run(images, tmp_path / 'alone', teacher)
    alone.load_from = str(tmp_path / 'teacher.pth')
    alone.experiment_name = 'alone'
    expected = Runner.from_cfg(alone)
    expected.load_or_resume()
    assert expected.val()['mIoU'] == pytest.approx(row['score'], abs=1e-3)


@pytest.mark.parametrize(
    'fields', [dict(size=(64, 64)), dict(size_divisor=32)])
def test_the_teacher_sees_what_its_own_preprocessor_would_have_made(fields):
    from mmseg.structures import SegDataSample
    raw = {key: v for key, v in RGB.items() if key != 'size'}
    student = build(dict(raw, size=(64, 64)))
    teacher = build(
        dict({
            k: v
            for k, v in BGR.items() if k != 'size_divisor'
        }, **fields))
    sizes = (40, 64), (64, 50)
    given = dict(
        inputs=[
            torch.randint(0, 256, (3, *size), dtype=torch.uint8)
            for size in sizes
        ],
        data_samples=[
            SegDataSample(
                gt_sem_seg=PixelData(data=torch.zeros(1, *size).long()))
            for size in sizes
        ])
    seen = student(copy.deepcopy(given), True)
    wanted = teacher(copy.deepcopy(given), True)
    mapped = InputMapping(student, teacher)(seen['inputs'],
                                            seen['data_samples'])
    torch.testing.assert_close(mapped, wanted['inputs'], rtol=1e-4, atol=1e-3)
    # Nothing is learned from what pads an image.
    assert (seen['data_samples'][0].gt_sem_seg.data[:, 40:] == 255).all()


def one_map(depth):
    cfg = segmentor(depth, classes=2, out_channels=1, threshold=0.5)
    cfg['decode_head']['loss_decode'] = dict(
        type='CrossEntropyLoss', use_sigmoid=True)
    cfg['auxiliary_head'] = None
    return cfg


@pytest.mark.parametrize('student, teacher, module', [
    (cascade(50), cascade(18), 'decode_head.1.conv_seg'),
    (cascade(50), segmentor(18), 'decode_head.1.conv_seg'),
    (one_map(50), one_map(18), 'decode_head.conv_seg'),
    (segmentor(50), segmentor(18, classes=5), 'backbone'),
    (segmentor(50), one_map(18), 'backbone'),
])
def test_what_is_compared_follows_from_the_two_models(student, teacher,
                                                      module):
    student, teacher = build(student), build(teacher)
    entry, = default_distill(student, teacher)
    assert entry['knowledge'].get('module', 'decode_head.conv_seg') == module


def test_a_teacher_of_other_classes_is_not_scored(images, tmp_path):
    cfg = run(
        images,
        tmp_path / 'run',
        segmentor(50),
        segmentor(18),
        names=('wall', 'green', 'red'),
        schedule=FULL)
    train(cfg)
    row, = rows(cfg.work_dir, 'teacher')
    assert row['score'] is None and row['stop'] == dict(type='At', iter=3)


def test_a_teacher_that_slides_a_window_looks_at_the_whole_image(
        images, tmp_path):
    teacher = segmentor(18)
    teacher['test_cfg'] = dict(
        mode='slide', crop_size=(32, 32), stride=(32, 32))
    cfg = run(images, tmp_path / 'run', cascade(50), teacher, schedule=FULL)
    sizes = []

    def look(runner, outputs):
        distiller = find(runner, WeakTeacherDistillHook).session.distiller
        if distiller is not None:
            distiller.teacher.model.backbone.register_forward_pre_hook(
                lambda module, args: sizes.append(args[0].shape[2:]))

    train_watched(cfg, look)
    assert sizes and all(size == (64, 64) for size in sizes)
