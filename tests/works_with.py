# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Distilling runs that tests add the features of other configs to."""

import uuid

from builders import build, save
from mmengine.hooks import Hook
from mmengine.runner import Runner
from toys import CLASSES, retinanet, run_config


def make_teacher(path, **preprocessor) -> dict:
    """The hook's `teacher` field, of a RetinaNet saved at ``path``."""
    model = retinanet(18)
    model['data_preprocessor'].update(preprocessor)
    return dict(
        config=dict(default_scope='mmdet', model=model),
        checkpoint=save(
            build(model, 1), path, dataset_meta=dict(classes=CLASSES)))


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


class Watch(Hook):
    """Notes, every iteration, the losses or what else a test asks for."""

    priority = 'LOWEST'

    def __init__(self, look):
        self.look, self.seen = look, []

    def after_train_iter(self,
                         runner,
                         batch_idx,
                         data_batch=None,
                         outputs=None):
        self.seen.append(self.look(runner, outputs))


def losses(runner, outputs) -> dict:
    """What a step returned."""
    return {key: value.item() for key, value in outputs.items()}


def train(cfg, look=losses, kind=Runner):
    """The runner, and what was seen in each iteration."""
    # Runs of one process share a message hub if they share a name.
    cfg.experiment_name = uuid.uuid4().hex
    runner, watch = kind.from_cfg(cfg), Watch(look)
    runner.register_hook(watch)
    runner.train()
    return runner, watch.seen


def find(runner, kind) -> Hook:
    """The run's hook of a class."""
    return next(hook for hook in runner.hooks if isinstance(hook, kind))


def hooks_on(model) -> int:
    """How many forward hooks hang on a model."""
    return sum(len(module._forward_hooks) for module in model.modules())
