# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Memory of tensors: what is allocated, and the peak of a step.

On a GPU, PyTorch's allocator counts its memory. On a CPU it does not, so the
tensors of Python are counted, and the peak comes from PyTorch's profiler.
Memory that libraries allocate for themselves is not included.
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
    """MiB of all tensors: on the GPU if there is one, else on the CPU."""
    gc.collect()
    if torch.cuda.is_available():
        return torch.cuda.memory_allocated() / 2**20
    storages = {}
    for tensor in gc.get_objects():
        # `isinstance` would run code of arbitrary objects, and would accept
        # tensors without memory, such as a compiler's.
        if type(tensor) in (Tensor, nn.Parameter) and \
                tensor.device.type == 'cpu' and \
                tensor.layout is torch.strided:
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values()) / 2**20


def step_peak_mib(step: Callable[[], Any]) -> float:
    """Peak memory of a step in MiB, without what was allocated before it.

    Args:
        step (Callable): Runs the step. On a CPU the profiler slows it down.
    """
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    # Some versions of the profiler print a line at every start and stop.
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
    # The events also have a running total, but it starts at the end of the
    # previous profile.
    changes = accumulate(event['args']['Bytes'] for event in events)
    return max(changes, default=0) / 2**20
