# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What is told of real runs, while they train and afterwards."""
import pytest
from builders import teacher_field
from entries import FPN
from runs import rows, train_watched
from toys import retinanet, run_config

import mmw2s
from mmw2s.watch import RunProgress

METRIC = 'coco/bbox_mAP'


def follow(cfg, *hooks):
    """Train; what was told after each step, and at the end."""
    runner, told = train_watched(cfg,
                                 lambda *_: RunProgress.read(cfg.work_dir),
                                 *hooks)
    return told, RunProgress.read(cfg.work_dir)


@pytest.fixture
def distilled(pictures, tmp_path):
    """The config of a run of 2 epochs of 4 steps, the teacher for 6."""
    return mmw2s.distill(
        run_config(pictures, tmp_path / 'run'),
        teacher_field(retinanet(18), tmp_path / 'teacher.pth'),
        distill=[FPN],
        schedule=dict(type='Constant', value=1.),
        stop=dict(type='At', iter=6))


def test_a_distilled_run_is_told_step_by_step(distilled):
    told, after = follow(distilled,
                         mmw2s.TimeToTargetHook(targets={METRIC: [0., .99]}))
    assert [run.iteration for run in told] == list(range(1, 9))
    assert {run.state for run in told} == {'running'}
    assert {run.max_iters for run in told} == {8}
    assert [len(run.curve) for run in told] == [0] * 4 + [1] * 4
    assert all(run.had_teacher for run in told)
    # The stop is noted before the step that has no teacher any more.
    assert [run.stop is not None for run in told] == [False] * 6 + [True] * 2
    assert all(run.eta > 0 for run in told[:-1])
    assert told[-1].validation_seconds > 0
    assert after.state == 'finished' and after.problem is None
    assert after.stop.iteration == 6 and after.stop.epoch == 1.5
    assert [goal.epoch for goal in after.targets] == [1., None]
    assert after.curve[-1].epoch == 2.


def test_a_run_with_the_hook_alone_is_told_by_the_logs(distilled):
    told, after = follow(distilled)
    assert [run.iteration for run in told] == list(range(1, 9))
    # How long an epoch is, the log tells in the second one.
    assert [run.max_iters for run in told] == [None] * 4 + [8] * 4
    assert [run.stop is not None for run in told] == [False] * 6 + [True] * 2
    assert after.state == 'finished'
    # A rule that asks for no score has the teacher not scored.
    assert after.had_teacher and after.teacher is None


def test_a_resumed_run_is_told_as_the_unbroken_one(distilled, tmp_path):
    hooks = [mmw2s.TimeToTargetHook()]
    _, whole = follow(distilled, *hooks)
    distilled.resume = True
    distilled.load_from = str(tmp_path / 'run' / 'epoch_1.pth')
    told, after = follow(distilled, mmw2s.TimeToTargetHook())
    assert [run.iteration for run in told] == list(range(5, 9))
    assert (after.curve, after.stop.iteration) == (whole.curve, 6)
    assert after.state == 'finished'


def test_a_surpassed_teacher_is_told_with_its_score(pictures, tmp_path):
    cfg = mmw2s.distill(
        run_config(pictures, tmp_path / 'run'),
        teacher_field(retinanet(18), tmp_path / 'teacher.pth'),
        distill=[FPN],
        schedule=dict(type='Constant', value=1.),
        stop=dict(
            type='SurpassTeacher',
            metric=METRIC,
            teacher_score=-1.,
            consecutive=1,
            latest=None))
    told, after = follow(cfg)
    assert told[0].metric == METRIC and told[0].teacher == \
        rows(cfg.work_dir, 'teacher')[0]['score']
    assert after.stop.iteration == 4
