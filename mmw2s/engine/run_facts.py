# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Facts of a run, without which its times mean nothing."""
import os
import os.path as osp
import platform
import sys
from typing import List, Optional

import torch
from mmengine.dataset import DefaultSampler
from mmengine.dist import all_gather_object, get_world_size
from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import (DistributedSampler, RandomSampler,
                              SequentialSampler)

__all__ = [
    'describe_run', 'evaluator_names', 'iters_per_epoch', 'iters_per_update',
    'samples_drawn', 'smallest_batch'
]

_FINITE = (DefaultSampler, DistributedSampler, RandomSampler,
           SequentialSampler)


def iters_per_epoch(runner) -> float:
    """Number of iterations in which all ranks together see the data set once.

    It may be a fraction, if the loop counts iterations and the data set ends
    inside a batch.
    """
    loader = runner.train_dataloader
    batch_size = _batch_size(loader)
    if isinstance(runner.train_loop, EpochBasedTrainLoop) or not batch_size:
        return len(loader)
    # The length of an infinite sampler is that of the data set and does not
    # depend on the number of ranks, so the length of the loader is of no use.
    return len(loader.dataset) / (batch_size * get_world_size())


def iters_per_update(runner) -> int:
    """Number of iterations whose gradients make one update of the weights."""
    return getattr(runner.optim_wrapper, '_accumulative_counts', 1)


def samples_drawn(runner, iters: int) -> Optional[int]:
    """Number of samples that all ranks have trained on.

    The last batch of an epoch may have fewer samples than the others.

    Args:
        runner (Runner): The run.
        iters (int): Number of iterations.

    Returns:
        int or None: The number; None if the batch size is not known.
    """
    loader = runner.train_dataloader
    batch_size = _batch_size(loader)
    if not batch_size:
        return None
    drawn = iters * batch_size
    if _has_an_end(runner):
        passes, rest = divmod(iters, len(loader))
        a_pass = min(len(loader.sampler), len(loader) * batch_size)
        drawn = passes * a_pass + min(rest * batch_size, a_pass)
    return drawn * get_world_size()


def smallest_batch(runner) -> Optional[int]:
    """Number of samples in the smallest batch of this rank.

    It is the last one of an epoch; None if the batch size is not known.
    """
    loader = runner.train_dataloader
    batch_size = _batch_size(loader)
    if not batch_size or not _has_an_end(runner):
        return batch_size
    a_pass = min(len(loader.sampler), len(loader) * batch_size)
    return a_pass % batch_size or batch_size


def _has_an_end(runner) -> bool:
    """Whether the loader ends a pass, perhaps with a smaller batch."""
    return isinstance(runner.train_loop, EpochBasedTrainLoop) or \
        isinstance(runner.train_dataloader.sampler, _FINITE)


def _batch_size(loader) -> Optional[int]:
    return loader.batch_size or getattr(loader.batch_sampler, 'batch_size',
                                        None)


def evaluator_names(runner) -> List[str]:
    """The types of the run's validation metrics, such as 'mmdet.CocoMetric'.

    The list is empty without a validation or an evaluator.
    """
    evaluator = getattr(runner._val_loop, 'evaluator', None)
    return [
        f'{type(metric).__module__.split(".")[0]}.{type(metric).__name__}'
        for metric in getattr(evaluator, 'metrics', ())
    ]


def describe_run(runner) -> dict:
    """Collect the facts of a run. To be called on all ranks.

    Args:
        runner (Runner): A runner that is about to train.

    Returns:
        dict: The facts, for JSON.
    """
    loop = runner.train_loop
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    return dict(
        config=osp.basename(runner.cfg.filename or '') or None,
        seed=runner.seed,
        world_size=get_world_size(),
        devices=all_gather_object(_device_name()),
        batch_size_per_device=_batch_size(runner.train_dataloader),
        iters_per_epoch=iters_per_epoch(runner),
        max_epochs=loop.max_epochs if by_epoch else None,
        max_iters=loop.max_iters,
        # Other packages are not imported, so they do not matter here.
        versions={
            name: getattr(sys.modules.get(name), '__version__', None)
            for name in ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet',
                         'mmpretrain', 'diffusers', 'mmw2s')
        },
        evaluators=evaluator_names(runner),
        precision=_precision(runner.optim_wrapper),
        omp_num_threads=os.environ.get('OMP_NUM_THREADS'),
        cpu_count=os.cpu_count())


def _precision(optim_wrapper) -> str:
    """The class of the optimizer wrapper, and its dtype of autocast."""
    dtype = getattr(optim_wrapper, 'cast_dtype', None)
    kind = type(optim_wrapper).__name__
    return kind if dtype is None else f'{kind}, {dtype}'


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
