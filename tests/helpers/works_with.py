# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Distilling runs that tests add the features of other configs to."""
from builders import teacher_field
from toys import CLASSES, retinanet, run_config


def make_teacher(path, **preprocessor) -> dict:
    """The hook's `teacher` field, of a RetinaNet saved at ``path``."""
    model = retinanet(18)
    model['data_preprocessor'].update(preprocessor)
    return teacher_field(model, path, dataset_meta=dict(classes=CLASSES))


def distilling(pictures,
               work_dir,
               teacher,
               hooks=(),
               validate=False,
               **overrides):
    """A run at full strength to its end, of a student whose norms stand."""
    hook = dict(
        type='WeakTeacherDistillHook',
        teacher=teacher,
        schedule=dict(type='Constant', value=1.),
        stop=dict(type='At', iter=10**6))
    hook.update(overrides.pop('w2s', {}))
    cfg = run_config(
        pictures,
        work_dir,
        epochs=overrides.pop('epochs', 1),
        hooks=[hook, *hooks],
        model=overrides.pop('model', None) or retinanet(50, norm_eval=True),
        **overrides)
    if not validate:
        cfg.default_hooks.checkpoint = None
        for key in ('val_dataloader', 'val_cfg', 'val_evaluator'):
            cfg.pop(key)
    return cfg
