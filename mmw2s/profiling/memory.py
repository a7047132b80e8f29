# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The memory of tensors: what stands, and what a step adds to it.

A GPU's allocator counts. A CPU's does not: there the tensors that Python knows
are counted, and PyTorch's profiler watches a step. What libraries take for
themselves meanwhile is not in it.
"""
import gc
import json
import os
import os.path as osp
import tempfile
from itertools import accumulate
from typing import Any, Callable

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

__all__ = ['allocated_mib', 'step_peak_mib']


def allocated_mib() -> float:
    """MiB that tensors take: on the GPU if there is one, else on the CPU."""
    gc.collect()
    if torch.cuda.is_available():
        return torch.cuda.memory_allocated() / 2**20
    storages = {}
    for tensor in gc.get_objects():
        # Not isinstance: it would run code of objects of any kind, and take
        # tensors without memory, such as those of a compiler.
        if type(tensor) in (Tensor, nn.Parameter) and \
                tensor.device.type == 'cpu' and \
                tensor.layout is torch.strided:
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values()) / 2**20


def step_peak_mib(step: Callable[[], Any]) -> float:
    """MiB that a step takes at the most, beyond what stood before it.

    Args:
        step (Callable): Does the step. On a CPU it is slower than usual.
    """
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    # Some versions of the profiler tell of every start and stop.
    os.environ.setdefault('KINETO_LOG_LEVEL', '99')
    with profile(
            activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        step()
    with tempfile.TemporaryDirectory() as folder:
        path = osp.join(folder, 'trace.json')
        seen.export_chrome_trace(path)
        with open(path) as file:
            events = json.load(file)['traceEvents']
    events = [event for event in events if event.get('name') == '[memory]']
    events.sort(key=lambda event: event['ts'])
    # Not the running total in them: it goes on from one profile to the next.
    changes = accumulate(event['args']['Bytes'] for event in events)
    return max(changes, default=0) / 2**20
