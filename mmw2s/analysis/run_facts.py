# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What has to be known about a run before its times mean anything."""
import os
import os.path as osp
import platform
import sys

import torch
from mmengine.dist import all_gather_object, get_world_size
from mmengine.runner import EpochBasedTrainLoop

__all__ = ['describe_run']


def describe_run(runner) -> dict:
    """Gather the facts of a run; call it on all ranks.

    Args:
        runner (Runner): A runner that is about to train.

    Returns:
        dict: JSON-ready facts. ``iters_per_epoch`` is a fraction where the
        loop counts iterations and a data set ends inside a batch.
    """
    loader, loop = runner.train_dataloader, runner.train_loop
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    batch_size = loader.batch_size or getattr(loader.batch_sampler,
                                              'batch_size', None)
    world_size = get_world_size()
    iters_per_epoch = len(loader)
    if not by_epoch and batch_size:
        # An infinite sampler's length is that of the whole data set, however
        # many ranks share it.
        iters_per_epoch = len(loader.dataset) / (batch_size * world_size)
    return dict(
        config=osp.basename(runner.cfg.filename or '') or None,
        seed=runner.seed,
        world_size=world_size,
        devices=all_gather_object(_device_name()),
        batch_size_per_device=batch_size,
        iters_per_epoch=iters_per_epoch,
        max_epochs=loop.max_epochs if by_epoch else None,
        max_iters=loop.max_iters,
        # Only what this run has imported: nothing else can matter to it.
        versions={
            name: getattr(sys.modules.get(name), '__version__', None)
            for name in ('torch', 'mmengine', 'mmcv', 'mmdet', 'mmw2s')
        },
        omp_num_threads=os.environ.get('OMP_NUM_THREADS'),
        cpu_count=os.cpu_count())


def _device_name() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as f:
            for line in f:
                if line.startswith('model name'):
                    return line.split(':', 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or 'cpu'
