# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A tiny detector, tiny images and a run of them, for tests on a CPU."""
import json
import os.path as osp

import cv2
import numpy as np
from mmengine.config import Config

CLASSES = ('box', 'bar')


def retinanet(depth: int = 18,
              num_classes: int = 2,
              channels: int = 16,
              norm_eval: bool = False,
              **head) -> dict:
    """A RetinaNet of two levels that takes images of 64 x 64."""
    widths = [8 * 2**i * (4 if depth >= 50 else 1) for i in range(4)]
    return dict(
        type='RetinaNet',
        data_preprocessor=dict(
            type='DetDataPreprocessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True,
            pad_size_divisor=32),
        backbone=dict(
            type='ResNet',
            depth=depth,
            base_channels=8,
            stem_channels=8,
            norm_cfg=dict(type='BN'),
            norm_eval=norm_eval,
            frozen_stages=-1,
            init_cfg=None),
        neck=dict(
            type='FPN',
            in_channels=widths,
            out_channels=channels,
            start_level=1,
            num_outs=3),
        bbox_head=dict(
            type='RetinaHead',
            num_classes=num_classes,
            in_channels=channels,
            feat_channels=channels,
            stacked_convs=1,
            anchor_generator=dict(
                type='AnchorGenerator',
                octave_base_scale=4,
                scales_per_octave=1,
                ratios=[0.5, 1.0, 2.0],
                strides=[8, 16, 32]),
            loss_cls=dict(
                type='FocalLoss',
                use_sigmoid=True,
                gamma=2.0,
                alpha=0.25,
                loss_weight=1.0),
            loss_bbox=dict(type='L1Loss', loss_weight=1.0),
            **head),
        train_cfg=dict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.5,
                neg_iou_thr=0.4,
                min_pos_iou=0,
                ignore_iof_thr=-1),
            sampler=dict(type='PseudoSampler'),
            allowed_border=-1,
            pos_weight=-1,
            debug=False),
        test_cfg=dict(
            nms_pre=200,
            min_bbox_size=0,
            score_thr=0.0,
            nms=dict(type='nms', iou_threshold=0.5),
            max_per_img=20))


def write_pictures(root, count: int = 8, seed: int = 0) -> str:
    """A COCO-format set of bright boxes and bars on grey noise."""
    rng = np.random.RandomState(seed)
    images, annotations = [], []
    for i in range(count):
        picture = rng.randint(60, 120, (64, 64, 3)).astype(np.uint8)
        category = i % 2
        w, h = (24, 24) if category == 0 else (40, 16)
        x, y = rng.randint(0, 64 - w), rng.randint(0, 64 - h)
        picture[y:y + h, x:x + w] = (0, 250, 0) if category else (250, 0, 0)
        cv2.imwrite(osp.join(root, f'{i}.png'), picture)
        images.append(dict(id=i, file_name=f'{i}.png', width=64, height=64))
        annotations.append(
            dict(
                id=i + 1,
                image_id=i,
                category_id=category + 1,
                bbox=[int(x), int(y), w, h],
                area=w * h,
                iscrowd=0))
    with open(osp.join(root, 'instances.json'), 'w') as file:
        json.dump(
            dict(
                images=images,
                annotations=annotations,
                categories=[
                    dict(id=i + 1, name=name) for i, name in enumerate(CLASSES)
                ]), file)
    return str(root)


def run_config(data_root: str,
               work_dir,
               epochs: int = 2,
               hooks=(),
               model: dict = None,
               **overrides) -> Config:
    """A run of 4 iterations an epoch, validated after each epoch."""
    dataset = dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='instances.json',
        metainfo=dict(classes=CLASSES),
        data_prefix=dict(img=''))
    load = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True)
    ]
    meta = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
    cfg = Config(
        dict(
            default_scope='mmdet',
            model=model or retinanet(50),
            work_dir=str(work_dir),
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=True),
                dataset=dict(
                    dataset,
                    pipeline=load + [
                        dict(type='Resize', scale=(64, 64), keep_ratio=True),
                        dict(type='PackDetInputs')
                    ])),
            val_dataloader=dict(
                batch_size=4,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(
                    dataset,
                    test_mode=True,
                    pipeline=load + [
                        dict(type='Resize', scale=(64, 64), keep_ratio=True),
                        dict(type='PackDetInputs', meta_keys=meta)
                    ])),
            val_evaluator=dict(
                type='CocoMetric',
                metric='bbox',
                ann_file=osp.join(data_root, 'instances.json')),
            train_cfg=dict(
                type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=1),
            val_cfg=dict(type='ValLoop'),
            optim_wrapper=dict(
                type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3)),
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=1),
                checkpoint=dict(type='CheckpointHook', interval=1)),
            custom_hooks=list(hooks),
            log_level='WARNING',
            randomness=dict(seed=0)))
    cfg.merge_from_dict(overrides)
    return cfg
