# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import gc
import logging
import sys
import time
from functools import lru_cache
from pathlib import Path

import mmengine.fileio
import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.testing.runner_test_case import RunnerTestCase
from mmengine.visualization import Visualizer

torch.set_num_threads(1)
sys.path.insert(0, str(Path(__file__).parent / 'helpers'))

# A base 'mmdet::...' reads all metafiles of the package.
load_once = lru_cache(None)(mmengine.fileio.load)
_modules_left_out = 0


def leave_packages_out_of_collections():
    """A run collects garbage three times, with the packages 0.4 s each."""
    global _modules_left_out
    if len(sys.modules) > _modules_left_out + 100:
        gc.collect()
        gc.freeze()
        _modules_left_out = len(sys.modules)


@pytest.fixture(autouse=True)
def clean_state(tmp_path, monkeypatch):
    """Global state of MMEngine as in a new process, and a cache of our own."""
    monkeypatch.setenv('MMW2S_CACHE', str(tmp_path / 'mmw2s_cache'))
    # Asking for the compiler's version takes a second a runner.
    monkeypatch.setattr(Runner, '_log_env', lambda *_: None)
    monkeypatch.setattr('mmengine.config.utils.load', load_once)
    # Laying out the text of its config takes longer than a tiny run.
    for home in ('yapf.yapflib.yapf_api', 'mmengine.config.config'):
        monkeypatch.setattr(
            f'{home}.FormatCode',
            lambda text, **_: (text.rstrip() + '\n', True),
            raising=False)
    # The same on every CPU, also one that is slow in bfloat16.
    monkeypatch.setattr('mmw2s.engine.optim_wrapper.emulates_bfloat16',
                        lambda: False)
    leave_packages_out_of_collections()
    yield
    logging.shutdown()
    for kind in (MMLogger, MessageHub, Visualizer, DefaultScope):
        kind._instance_dict.clear()


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    """A data set of a few tiny images, to be read only."""
    from toys import write_pictures
    return write_pictures(tmp_path_factory.mktemp('pictures'))


class _Heard(logging.Handler):

    def __init__(self, level):
        super().__init__(level)
        self.texts = []
        MMLogger.get_current_instance().addHandler(self)

    def emit(self, record):
        self.texts.append(record.getMessage())


@pytest.fixture
def said():
    """What MMEngine's logger is told, which never reaches ``caplog``."""
    return _Heard(logging.INFO).texts


@pytest.fixture
def warned():
    """What MMEngine's logger is warned of."""
    return _Heard(logging.WARNING).texts


@pytest.fixture
def toy():
    """MMEngine's own toy runs, by epoch and by iteration."""
    case = RunnerTestCase('run')
    case.setUp()
    yield case
    case.tearDown()


@pytest.fixture
def now(monkeypatch):
    """The time that all clocks show, to be set by a test."""
    now = [100.]
    monkeypatch.setattr(time, 'perf_counter', lambda: now[0])
    return now
