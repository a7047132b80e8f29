# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Tiny classifiers, bright and dark images, and a run of them, on a CPU."""
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, MODELS, DefaultScope
from mmpretrain.structures import DataSample
from torch import nn

from mmw2s.distillation import FrozenTeacher

CLASSES = ('cat', 'dog', 'elk')
NORM = dict(mean=[120., 120., 120.], std=[60., 60., 60.])

VIT = dict(
    type='VisionTransformer',
    arch=dict(
        embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=16),
    img_size=16,
    patch_size=4)
DEIT = dict(VIT, type='DistilledVisionTransformer')


def classifier(width: int = 4,
               num_classes: int = 3,
               data_preprocessor: dict = NORM,
               backbone: dict = None,
               neck: dict = dict(type='GlobalAveragePooling'),
               **head) -> dict:
    """A ResNet-18 of CIFAR's kind with any of mmpretrain's heads."""
    return dict(
        type='ImageClassifier',
        data_preprocessor=dict(
            type='ClsDataPreprocessor',
            num_classes=num_classes,
            **data_preprocessor),
        backbone=backbone
        or dict(type='ResNet_CIFAR', depth=18, base_channels=width),
        neck=neck,
        head={
            **dict(
                type='LinearClsHead',
                num_classes=num_classes,
                in_channels=8 * width),
            **head
        })


def build(cfg: dict, seed: int = 0):
    """A classifier with weights that follow from the seed."""
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(cfg)


def teacher_of(cfg: dict, path, classes=None, seed: int = 1):
    """A frozen classifier, whose checkpoint may name its classes."""
    model = build(cfg, seed)
    for name, p in model.head.named_parameters():  # some begin at 0
        nn.init.normal_(p, generator=torch.Generator().manual_seed(seed))
    meta = dict(dataset_meta=dict(classes=classes)) if classes else {}
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return FrozenTeacher(
        dict(model=cfg, default_scope='mmpretrain'), str(path))


def batch(count: int = 4, size: int = 16, num_classes: int = 3):
    """Normalized images, shape (B, 3, H, W), with one label each."""
    inputs = torch.randn(
        count, 3, size, size, generator=torch.Generator().manual_seed(0))
    return inputs, [
        DataSample().set_gt_label(i % num_classes) for i in range(count)
    ]


@DATASETS.register_module()
class Shades(BaseDataset):
    """Noise whose brightness tells the class."""

    METAINFO = dict(classes=CLASSES)

    def load_data_list(self):
        rng = np.random.RandomState(len(self.ann_file))
        return [
            dict(
                img=rng.randint(0, 80, (16, 16, 3)).astype(np.uint8) +
                np.uint8(80 * (i % 3)),
                gt_label=i % 3) for i in range(16)
        ]


def run_config(work_dir,
               epochs: int = 2,
               hooks=(),
               model: dict = None,
               **overrides) -> Config:
    """A run of 4 iterations an epoch, validated after each epoch."""
    loader = dict(
        batch_size=4,
        num_workers=0,
        dataset=dict(
            type='Shades',
            ann_file='train',
            pipeline=[dict(type='PackInputs')]),
        sampler=dict(type='DefaultSampler', shuffle=True),
        collate_fn=dict(type='default_collate'))
    cfg = Config(
        dict(
            default_scope='mmpretrain',
            model=model or classifier(8),
            work_dir=str(work_dir),
            train_dataloader=loader,
            val_dataloader=dict(
                loader,
                dataset=dict(loader['dataset'], ann_file='validation'),
                sampler=dict(type='DefaultSampler', shuffle=False)),
            val_evaluator=dict(type='Accuracy', topk=(1, )),
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            val_cfg=dict(),
            optim_wrapper=dict(
                type='OptimWrapper', optimizer=dict(type='AdamW', lr=3e-3)),
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=1),
                checkpoint=dict(type='CheckpointHook', interval=1)),
            custom_hooks=list(hooks),
            log_level='WARNING',
            randomness=dict(seed=0)))
    cfg.merge_from_dict(overrides)
    return cfg
