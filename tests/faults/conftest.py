# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Every fault is tried on a real run, in a process of its own.

The packages are imported once, here; a process is a fork of this one, which
takes milliseconds where a new one takes seconds.
"""
import collections
import gc
import logging
import os
import sys
import traceback
from typing import NamedTuple

import pytest
from builders import teacher_field
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer
from tiny_classifiers import CLASSES, classifier


class Ended(NamedTuple):
    """How a process ended: its exit code, minus a signal, and its log."""
    code: int
    log: str


@pytest.fixture(scope='session')
def forked(tmp_path_factory):
    """Calls a function in a process of its own, and tells how that ended."""
    log = tmp_path_factory.mktemp('logs') / 'log'

    def call(function, *args, **kwargs) -> Ended:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                into = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(into, 1)
                os.dup2(into, 2)
                sys.stdout = os.fdopen(1, 'w', buffering=1)
                sys.stderr = os.fdopen(2, 'w', buffering=1)
                logging.shutdown()
                for kind in (MMLogger, MessageHub, Visualizer, DefaultScope):
                    kind._instance_dict.clear()
                # What a run spends most of a second on, and is of no use here:
                # looking through all modules for garbage, and laying out the
                # config for people.
                gc.freeze()
                Config.pretty_text = property(lambda cfg: repr(cfg._cfg_dict))
                function(*args, **kwargs)
                code = 0
            except SystemExit as error:
                code = error.code
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        return Ended(
            os.waitstatus_to_exitcode(status), log.read_text(errors='replace'))

    return call


@pytest.fixture(scope='session')
def teacher(tmp_path_factory):
    """The hook's ``teacher`` field."""
    return teacher_field(
        classifier(4),
        tmp_path_factory.mktemp('teacher') / 't.pth',
        scope='mmpretrain',
        dataset_meta=dict(classes=CLASSES))


@pytest.fixture
def count(record_property):
    """Counts a fault that was tried, for the summary."""
    return lambda kind: record_property('fault', kind)


def pytest_terminal_summary(terminalreporter) -> None:
    tried = collections.Counter(
        kind for report in terminalreporter.getreports('')
        for name, kind in getattr(report, 'user_properties', ())
        if name == 'fault' and report.when == 'teardown')
    for kind, number in sorted(tried.items()):
        terminalreporter.write_line(f'faults tried: {number} {kind}')
