# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import logging
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.testing.runner_test_case import RunnerTestCase
from mmengine.visualization import Visualizer

torch.set_num_threads(1)
sys.path.insert(0, str(Path(__file__).parent / 'helpers'))


@pytest.fixture(autouse=True)
def clean_state(tmp_path, monkeypatch):
    """Global state of MMEngine as in a new process, and a cache of our own."""
    monkeypatch.setenv('MMW2S_CACHE', str(tmp_path / 'mmw2s_cache'))
    # Asking for the compiler's version takes a second a runner.
    monkeypatch.setattr(Runner, '_log_env', lambda *_: None)
    # The same on every CPU, also one that is slow in bfloat16.
    monkeypatch.setattr('mmw2s.engine.optim_wrapper.emulates_bfloat16',
                        lambda: False)
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
