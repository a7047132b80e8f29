# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A student's config, and pairs whose runs are written by hand."""
import pytest
import recorded
from toys import run_config

from mmw2s.pair.options import Options
from mmw2s.pair.plan import Plan

METRIC = 'coco/bbox_mAP'


@pytest.fixture
def student(pictures, tmp_path, monkeypatch):
    """Path of a student's config without the hook, in the current folder."""
    monkeypatch.chdir(tmp_path)
    cfg = run_config(pictures, 'unused', epochs=4)
    cfg.pop('work_dir')
    cfg.dump('student.py')
    return 'student.py'


@pytest.fixture
def plan(tmp_path):
    """A pair of two seeds, of which nothing is trained."""
    return Plan(
        Options(
            'student.py',
            str(tmp_path / 'pair'),
            seeds=(0, 1),
            with_baseline=True), True, [])


@pytest.fixture
def write_run():
    """Write a run of one validation an epoch, with its checkpoints."""
    return recorded.write_trained
