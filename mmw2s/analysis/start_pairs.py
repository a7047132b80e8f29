# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The pairs that ``mmw2s start-on-gpu`` tries, and the configs of their runs.

Data are looked for in ``data/`` of the current folder, as by all configs.
"""
import json
import os
import os.path as osp
from glob import glob
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import torch
from mmengine.config import Config

from mmw2s.configs_path import config as shipped_config
from mmw2s.utils.files import atomic_write

__all__ = ['ARMS', 'PAIRS', 'Pair', 'missing', 'write_config']

ARMS = ('baseline', 'start', 'distilled', 'both')
COCO = 'data/coco'
COCO_IMAGES = dict(train=3000, val=300)  # the first ones: a run is short
CIFAR10 = 'data/cifar10'


class Pair(NamedTuple):
    """A teacher, its student, and the start that fits them.

    Attributes:
        configs (Sequence[str]): Of the teacher and of the student.
        start (str): Type of the start.
        tiny (Sequence[dict]): What makes the two tiny, for a rehearsal.
        options (dict): What is changed in both.
    """
    configs: Sequence[str]
    start: str
    tiny: Sequence[dict]
    options: Dict[str, Any]


def _tiny_retinanet(width: int) -> dict:
    return {
        'model.backbone': dict(base_channels=8, stem_channels=8),
        'model.neck.in_channels': [width * 2**i for i in range(4)],
        'model.neck.out_channels': 8,
        'model.bbox_head':
        dict(in_channels=8, feat_channels=8, stacked_convs=1)
    }


def _tiny_resnet(width: int) -> dict:
    return {
        'model.backbone.base_channels': 8,
        'model.head.in_channels': 8 * width
    }


def _tiny_unet(width: int) -> dict:
    return {
        'model.denoiser':
        dict(
            block_out_channels=(width, ) + (2 * width, ) * 3,
            norm_num_groups=8,
            attention_head_dim=8)
    }


_CIFAR10_OPTIONS = {
    'val_dataloader.dataset.indices': 2000,
    'val_dataloader.batch_size': 250
}
PAIRS = dict(
    detection=Pair(
        ('detection/coco/retinanet_r18_coco_subset.py',
         'detection/coco/w2s_retinanet_r50_coco_subset.py'),
        'Inherit',
        (_tiny_retinanet(8), _tiny_retinanet(32)),
        # After few steps nothing is above the usual 0.05: there is no score.
        {'model.test_cfg.score_thr': 0.}),
    classification=Pair(('classification/resnet18_1xb128_cifar10.py',
                         'classification/w2s_resnet50_1xb128_cifar10.py'),
                        'Inherit', (_tiny_resnet(8), _tiny_resnet(32)),
                        _CIFAR10_OPTIONS),
    diffusion=Pair(
        ('diffusion/ddpm_64-2_cifar10.py', 'w2s_ddpm_cifar10.py'),
        'Grow',
        (_tiny_unet(8), _tiny_unet(16)),
        {
            **_CIFAR10_OPTIONS,
            # No FID: to generate the images would take longer than the run.
            'val_dataloader.dataset.pipeline': [dict(type='PackImage')],
            'val_evaluator': [dict(type='DenoisingError')],
            'default_hooks.samples':
            None
        }))


def missing(name: str) -> List[str]:
    """What a pair lacks, in words; empty if nothing."""
    if name == 'detection':
        paths = [
            path for part in COCO_IMAGES
            for path in (f'{COCO}/annotations/instances_{part}2017.json',
                         f'{COCO}/{part}2017') if not osp.exists(path)
        ]
        return paths and [
            f'there is no {", ".join(paths)}: put COCO 2017, or a part of '
            f'it in its layout, into {COCO}'
        ]
    found = []
    if not osp.isdir(f'{CIFAR10}/cifar-10-batches-py'):
        found.append(f'CIFAR-10 is not in {CIFAR10}: run "mmw2s '
                     f'prepare-cifar10 {CIFAR10}"')
    if name == 'diffusion':
        try:
            import diffusers  # noqa: F401
        except ImportError:
            found.append('diffusers is not installed: run "pip install '
                         'mmw2s[diffusion]"')
    return found


def write_config(name: str,
                 arm: str,
                 folder: str,
                 iters: int,
                 every: int,
                 seed: int = 0,
                 teacher: Optional[str] = None,
                 tiny: bool = False) -> str:
    """Write the config of a run.

    Args:
        name (str): The pair.
        arm (str): One of ``ARMS``, ``'teacher'``, or else as the baseline.
        folder (str): Where it is written, and where the teacher's config is.
        iters, every (int): Length of the run; iterations to a validation.
        seed (int): Seed of the run. Defaults to 0.
        teacher (str, optional): The teacher's checkpoint. Defaults to None,
            for itself and for a baseline.
        tiny (bool): Whether it is a rehearsal. Defaults to False.

    Returns:
        str: Its path.
    """
    pair, strong = PAIRS[name], arm != 'teacher'
    cfg = Config.fromfile(shipped_config(pair.configs[strong]))
    _shorten(cfg, iters, every)
    cfg.merge_from_dict({'randomness.seed': seed, **pair.options})
    cfg.default_hooks.pop('samples', None)  # nor pictures
    if name == 'detection':
        _adapt_detection(cfg, osp.dirname(folder), tiny)
    if tiny:
        cfg.merge_from_dict(pair.tiny[strong])
        cfg.train_dataloader.batch_size = 4
    workers = 0 if tiny else min(4, os.cpu_count() or 1)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(num_workers=workers, persistent_workers=workers > 0)
    if strong:
        hook = cfg.default_hooks.w2s
        hook.teacher = dict(
            config=osp.abspath(osp.join(folder, 'teacher.py')),
            checkpoint=teacher)
        if arm in ('start', 'both'):
            hook.start = dict(type=pair.start)
        if arm == 'start':
            hook.distill = []
    path = osp.join(folder, f'{arm}.py')
    cfg.dump(path)
    return path


def _shorten(cfg: Config, iters: int, every: int) -> None:
    """Give a run so many iterations; its learning rate rises, then falls."""
    up = max(iters // 20, 1)
    cfg.merge_from_dict({
        'train_cfg':
        dict(
            _delete_=True, by_epoch=False, max_iters=iters,
            val_interval=every),
        'param_scheduler': [
            dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=up),
            dict(
                type='CosineAnnealingLR',
                eta_min_ratio=0.05,
                by_epoch=False,
                begin=up,
                end=iters)
        ],
        'default_hooks.checkpoint':
        dict(by_epoch=False, interval=max(iters // 2, 1), max_keep_ckpts=1),
        'default_hooks.time_to_target.targets':
        None,
        'log_processor.by_epoch':
        False
    })


def _adapt_detection(cfg: Config, folder: str, tiny: bool) -> None:
    """Take a part of COCO, weights of ImageNet where there are, no bf16."""
    for part in COCO_IMAGES:
        cfg[f'{part}_dataloader'].dataset.ann_file = _first_images(
            part, folder)
    cfg.val_evaluator.ann_file = cfg.val_dataloader.dataset.ann_file
    weights = {
        depth: glob(f'{torch.hub.get_dir()}/checkpoints/resnet{depth}-*.pth')
        for depth in (18, 50)
    }
    # Of both or of none: a teacher from scratch would be too weak.
    if all(weights.values()) and not tiny:
        cfg.model.backbone.init_cfg = dict(
            type='Pretrained', checkpoint=weights[cfg.model.backbone.depth][0])
    if torch.cuda.is_available():
        cfg.optim_wrapper.type = 'OptimWrapper'  # see adamw_20e.py


def _first_images(part: str, folder: str) -> str:
    """A file of annotations of the first images alone; its path."""
    path = osp.abspath(osp.join(folder, f'instances_{part}.json'))
    if not osp.exists(path):
        with open(f'{COCO}/annotations/instances_{part}2017.json') as file:
            whole = json.load(file)
        whole['images'] = sorted(
            whole['images'], key=lambda image: image['id'])[:COCO_IMAGES[part]]
        ids = {image['id'] for image in whole['images']}
        whole['annotations'] = [
            a for a in whole['annotations'] if a['image_id'] in ids
        ]
        with atomic_write(path) as file:
            json.dump(whole, file)
    return path
