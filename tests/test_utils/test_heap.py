# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import ctypes
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from mmw2s.utils.heap import keep_freed_memory

# Page faults of some "steps" that take 40 blocks of 8 MiB, and free them.
FAULTS = '''
import resource
import torch
from mmw2s.utils.heap import keep_freed_memory
assert keep_freed_memory() is {kept}
def step():
    blocks = [torch.zeros(2**21) for _ in range(40)]
for i in range(6):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
'''


def faults(kept, **environment):
    clean = {k: v for k, v in os.environ.items() if 'MALLOC_' not in k}
    clean['CUDA_VISIBLE_DEVICES'] = ''
    done = subprocess.run(
        [sys.executable, '-c', FAULTS.format(kept=kept)],
        env=dict(clean, **environment),
        check=True,
        stdout=subprocess.PIPE)
    return int(done.stdout)


@pytest.mark.skipif(
    sys.platform != 'linux' or not hasattr(ctypes.CDLL(None), 'mallopt'),
    reason='glibc is needed')
def test_a_later_step_is_given_the_memory_that_an_earlier_one_has_freed():
    by_default = faults(False, MALLOC_MMAP_THRESHOLD_='131072')
    assert by_default > 100  # of 4 KiB, or up to 2 MiB where the system has it
    assert faults(True) < .1 * by_default


@pytest.fixture
def on_a_cpu(monkeypatch):
    monkeypatch.setattr('mmw2s.utils.heap.get_device', lambda: 'cpu')


def test_nothing_is_done_where_the_user_has_decided(on_a_cpu, monkeypatch):
    monkeypatch.setenv('MALLOC_ARENA_MAX', '2')
    monkeypatch.setattr(ctypes, 'CDLL', None)  # it is not asked for
    assert keep_freed_memory() is False


@pytest.mark.parametrize('platform, library', [
    ('darwin', None),
    ('linux', SimpleNamespace()),
])
def test_without_glibc_nothing_is_done(on_a_cpu, monkeypatch, platform,
                                       library):
    for name in [n for n in os.environ if n.startswith('MALLOC_')]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, 'platform', platform)
    monkeypatch.setattr(ctypes, 'CDLL', lambda name: library)
    assert keep_freed_memory() is False
