# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Studies of tiny models, and such whose runs are written by hand."""
import sys

import pytest
import recorded
from builders import teacher_field
from mmengine.config import Config
from toys import retinanet, run_config

from mmw2s.pair.stages import Launch, Stage
from mmw2s.study import Study, make_plan
from mmw2s.study.workers import Task

METRIC = 'coco/bbox_mAP'


@pytest.fixture
def folder(pictures, tmp_path, monkeypatch):
    """The current folder, with student.py, teacher.py and weak.pth."""
    monkeypatch.chdir(tmp_path)
    for name, model in (('student', retinanet(50, channels=8)),
                        ('teacher', retinanet(18, channels=8))):
        cfg = run_config(pictures, 'unused', epochs=2, model=model)
        cfg.pop('work_dir')
        cfg.param_scheduler = [
            dict(type='LinearLR', start_factor=.1, by_epoch=False, end=4),
            dict(type='MultiStepLR', begin=4, milestones=[1], by_epoch=False)
        ]
        cfg.dump(f'{name}.py')
    teacher_field(retinanet(18, channels=8), 'weak.pth')
    return tmp_path


@pytest.fixture
def study():
    """The fields of a study, some of them changed."""

    def make(**fields):
        return Study(
            **{
                **dict(
                    student='student.py',
                    teacher='teacher.py',
                    metric=METRIC,
                    margin=.05,
                    seeds=[0, 1, 2],
                    start=dict(type='Inherit'),
                    arms=['baseline', 'both', 'permuted_teacher']),
                **fields
            })

    return make


@pytest.fixture
def planned(folder, study):
    """The plan of a study in the folder "study"."""

    def make(**fields):
        return make_plan(study(**fields), 'study')

    return make


@pytest.fixture
def write_run():
    """Write a run of one validation an epoch, with its checkpoints."""
    return recorded.write_trained


@pytest.fixture
def hook():
    """The hook in the config of an arm."""

    def find(plan, arm) -> Config:
        return plan.configs[arm].default_hooks.w2s

    return find


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    """Tasks of a script each."""

    def make(*texts):
        scripts = {f's{i}': text for i, text in enumerate(texts)}
        monkeypatch.setattr(
            Launch, 'command', lambda self, stage, cfg_options:
            [sys.executable, '-c', scripts[stage.name], stage.work_dir])
        return [
            Task(Stage(name, 'unused.py', str(tmp_path / name)))
            for name in scripts
        ]

    return make
