# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A student that begins as its whole teacher, in a run."""
import pytest
from builders import teacher_field
from runs import rows, train_watched
from tiny_classifiers import classifier
from tiny_classifiers import run_config as classifier_run
from toys import retinanet, run_config

NEVER = dict(type='At', iter=10**6)


def wide(depth=34):
    cfg = retinanet(depth, channels=8)
    cfg['backbone'].update(base_channels=16, stem_channels=16)
    cfg['neck']['in_channels'] = [16, 32, 64, 128]
    return cfg


def detection(pictures):
    return (retinanet(18, channels=8), wide(), 'mmdet',
            lambda *args, **fields: run_config(pictures, *args, **fields))


def classification(pictures):
    return classifier(), classifier(8), 'mmpretrain', classifier_run


def task_losses(runner, outputs):
    """The losses of a step without those of the distillation."""
    kd = sum(v for key, v in outputs.items() if key.startswith('loss_kd'))
    return {
        key: (value - kd * (key == 'loss')).item()
        for key, value in outputs.items() if not key.startswith('loss_kd')
    }


@pytest.mark.parametrize('kind, fields', [
    (detection, dict(stop=NEVER, schedule=dict(type='Constant', value=1.))),
    (classification, dict(distill=[])),
])
def test_its_first_losses_are_its_teachers(kind, fields, pictures, tmp_path):
    weak, strong, scope, config = kind(pictures)
    teacher = teacher_field(weak, tmp_path / 'teacher.pth', scope=scope)
    hook = dict(
        type='WeakTeacherDistillHook',
        teacher=teacher,
        start=dict(type='Grow'),
        **fields)

    def losses(model, name, **others):
        cfg = config(tmp_path / name, epochs=1, model=model, **others)
        for key in ('val_dataloader', 'val_cfg', 'val_evaluator'):
            cfg.pop(key)
        return train_watched(cfg, task_losses)[1]

    ours = losses(strong, 'run', hooks=[hook])
    theirs = losses(weak, 'teacher', load_from=teacher['checkpoint'])
    assert ours[0] == pytest.approx(theirs[0], rel=1e-4)
    # From then on it is another model.
    assert ours[-1] != pytest.approx(theirs[-1], rel=1e-4)
    row, = rows(tmp_path / 'run', 'start')
    assert row['type'] == 'Grow' and row['share'] > 0.3


def test_what_does_not_grow_ends_the_run_before_it_begins(pictures, tmp_path):
    teacher = teacher_field(
        retinanet(18, channels=8), tmp_path / 'teacher.pth')
    cfg = run_config(
        pictures,
        tmp_path / 'run',
        model=retinanet(50, channels=8),
        hooks=[
            dict(
                type='WeakTeacherDistillHook',
                teacher=teacher,
                stop=NEVER,
                start=dict(type='Grow'))
        ])
    with pytest.raises(ValueError, match='backbone.layer1: its blocks are'):
        train_watched(cfg)
