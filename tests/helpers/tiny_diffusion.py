# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Tiny diffusion models on 8 x 8 digits, and a run of them, on a CPU."""
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement

import mmw2s  # noqa: F401

pytest.importorskip('diffusers')


def unet(width: int = 8, classes: int = None, **fields) -> dict:
    """A UNet of two levels for grey images of 8 x 8."""
    return dict(
        dict(
            type='diffusers.UNet2DModel',
            sample_size=8,
            in_channels=1,
            out_channels=1,
            block_out_channels=(width, width),
            layers_per_block=1,
            norm_num_groups=4,
            attention_head_dim=4,
            num_class_embeds=classes,
            down_block_types=('DownBlock2D', 'DownBlock2D'),
            up_block_types=('UpBlock2D', 'UpBlock2D')), **fields)


def diffusion(width: int = 8,
              classes: int = None,
              kind: str = 'epsilon',
              schedule: dict = dict(),
              denoiser: dict = dict(),
              **fields) -> dict:
    """A diffusion model of 100 timesteps that samples in 4."""
    return dict(
        dict(
            type='DenoisingDiffusion',
            denoiser=unet(width, classes, **denoiser),
            scheduler=dict(
                dict(
                    type='diffusers.DDPMScheduler',
                    num_train_timesteps=100,
                    prediction_type=kind), **schedule),
            num_classes=classes,
            sampling_steps=4), **fields)


def build(cfg: dict, seed: int = 0):
    """A diffusion model with weights that follow from the seed."""
    torch.manual_seed(seed)
    return MODELS.build(cfg)


def batch(count: int = 4, channels: int = 1, size: int = 8, **meta):
    """Images in [-1, 1], with a number and a label each."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(count, channels, size, size, generator=generator)
    samples = []
    for i in range(count):
        sample = BaseDataElement(
            metainfo=dict(
                sample_idx=i,
                **{
                    key: value + i
                    for key, value in meta.items()
                }))
        sample.gt_label = torch.tensor([i % 3])
        samples.append(sample)
    return inputs * 2 - 1, samples


def run_config(work_dir,
               iters: int = 8,
               hooks=(),
               model: dict = None,
               **overrides) -> Config:
    """A run by iterations, validated every fourth."""
    loader = dict(
        batch_size=8,
        num_workers=0,
        sampler=dict(type='InfiniteSampler', shuffle=True),
        collate_fn=dict(type='default_collate'),
        dataset=dict(type='Digits', indices=64))
    cfg = Config(
        dict(
            model=model or diffusion(12),
            work_dir=str(work_dir),
            train_dataloader=loader,
            val_dataloader=dict(
                loader,
                batch_size=32,
                dataset=dict(type='Digits', split='val', indices=32),
                sampler=dict(type='DefaultSampler', shuffle=False)),
            val_evaluator=dict(type='DenoisingError'),
            train_cfg=dict(by_epoch=False, max_iters=iters, val_interval=4),
            val_cfg=dict(),
            optim_wrapper=dict(
                type='OptimWrapper', optimizer=dict(type='AdamW', lr=2e-3)),
            log_processor=dict(by_epoch=False),
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=10),
                checkpoint=dict(
                    type='CheckpointHook', by_epoch=False, interval=100)),
            custom_hooks=list(hooks),
            log_level='WARNING',
            randomness=dict(seed=0)))
    cfg.merge_from_dict(overrides)
    return cfg
