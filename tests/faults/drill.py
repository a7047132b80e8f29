# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A run of a second, what it decided, and how it is killed."""
import json
import os
import uuid
from pathlib import Path

import torch
from mmengine.runner import Runner
from tiny_classifiers import run_config

from mmw2s.engine.checkpoints import find_resumable
from mmw2s.records.files import EVENTS, FILENAME

EPOCHS, STEPS = 4, 4
#: Both stop after 12 of 16 iterations. The student's task loss is compared
#: with the teacher's plus so much that it is always below.
STOPS = dict(
    validation=dict(
        type='SurpassTeacher',
        metric='accuracy/top1',
        teacher_score=-1.,
        consecutive=3,
        latest=None),
    training=dict(
        type='SurpassOnTrain',
        interval=2,
        margin=-1e6,
        min_looks=6,
        latest=None))


def train(work_dir: Path,
          teacher: dict,
          stop: str = 'validation',
          resume: bool = False,
          prepare=None,
          **overrides) -> None:
    """Train, or go on as ``tools/train.py --resume`` does."""
    cfg = run_config(
        work_dir,
        epochs=EPOCHS,
        hooks=[
            dict(
                type='WeakTeacherDistillHook',
                teacher=teacher,
                schedule=dict(type='Constant', value=1.),
                stop=STOPS[stop]),
            dict(
                type='TimeToTargetHook', targets={'accuracy/top1': [1., 101.]})
        ],
        **overrides)
    cfg.experiment_name = uuid.uuid4().hex
    cfg.env_cfg = dict(cudnn_benchmark=False)
    if resume:
        cfg.resume, cfg.load_from = True, find_resumable(str(work_dir))
    Runner._log_env = lambda *_: None
    runner = Runner.from_cfg(cfg)
    if prepare is not None:
        prepare(runner)
    runner.train()


def decisions(work_dir: Path) -> list:
    """The rows of the record, without clocks."""
    clocks = ('seconds', 'step_ms', 'teacher_ms')
    return [{
        k: v
        for k, v in json.loads(line).items() if k not in clocks
    } for line in (work_dir / EVENTS).read_text().splitlines()]


def history(work_dir: Path) -> list:
    content = json.loads((work_dir / FILENAME).read_text())
    assert content['finished']
    return [(row['iter'], row['metrics']) for row in content['history']]


def weights(work_dir: Path) -> dict:
    return torch.load(
        work_dir / f'epoch_{EPOCHS}.pth', weights_only=False)['state_dict']


def assert_same(work_dir: Path, whole: Path) -> None:
    """A run that was broken and resumed ends as the unbroken one."""
    assert decisions(work_dir) == decisions(whole)
    assert history(work_dir) == history(whole)
    assert_same_weights(work_dir, whole)


def assert_same_weights(work_dir: Path, whole: Path) -> None:
    resumed, unbroken = weights(work_dir), weights(whole)
    assert resumed.keys() == unbroken.keys()
    for key in resumed:
        assert torch.equal(resumed[key], unbroken[key]), key


def die(*_, **__) -> None:
    os._exit(9)
