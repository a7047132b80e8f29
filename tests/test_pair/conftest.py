# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A student's config, and pairs whose runs are written by hand."""
import json
import os

import pytest
import torch
from toys import run_config

from mmw2s.pair.plan import Options, Plan

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
    """Write a run of one validation an epoch of 10 iterations."""

    def write(work_dir, scores, seconds=10., validation=2., scoring=0.):
        os.makedirs(work_dir, exist_ok=True)
        history = [
            dict(
                epoch=float(i),
                iter=10 * i,
                samples=80 * i,
                train_seconds=seconds * i,
                wall_seconds=(seconds + validation) * i + scoring,
                metrics={METRIC: score}) for i, score in enumerate(scores, 1)
        ]
        with open(f'{work_dir}/time_to_target.json', 'w') as file:
            json.dump(
                dict(
                    schema_version=1,
                    run=dict(seed=0, world_size=1),
                    history=history,
                    targets=[],
                    finished=True), file)
        if scoring:
            row = dict(
                event='teacher',
                iter=0,
                metrics={METRIC: .3},
                metric=METRIC,
                score=.3,
                seconds=scoring)
            with open(f'{work_dir}/w2s_record.jsonl', 'w') as file:
                file.write(json.dumps(row) + '\n')
        for i in range(1, 1 + len(scores)):
            torch.save(
                dict(state_dict=dict(epoch=torch.tensor(i))),
                f'{work_dir}/epoch_{i}.pth')
        return str(work_dir)

    return write
