# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""To train a run, to watch it step by step, and to read what it left."""
import json
import os.path as osp
import uuid

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmw2s.records.files import FIRST, events_file


def train(cfg, *hooks, kind=Runner) -> Runner:
    """Train a config, with further hooks that are objects."""
    # Runs of one process share a message hub if they share a name.
    cfg.experiment_name = uuid.uuid4().hex
    runner = kind.from_cfg(cfg)
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    return runner


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


def train_watched(cfg, look=losses, *hooks, kind=Runner):
    """The runner, and what was seen in each iteration."""
    watch = Watch(look)
    return train(cfg, *hooks, watch, kind=kind), watch.seen


def find(runner, kind) -> Hook:
    """The run's hook of a class."""
    return next(hook for hook in runner.hooks if isinstance(hook, kind))


def hooks_on(model) -> int:
    """How many forward hooks hang on a model."""
    return sum(len(module._forward_hooks) for module in model.modules())


def rows(work_dir, event=None, name=FIRST) -> list:
    """The rows of a hook's record, of one event or of all."""
    with open(osp.join(str(work_dir), events_file(name))) as file:
        found = [json.loads(line) for line in file]
    return [row for row in found if event in (None, row['event'])]


def scalars(runner) -> list:
    """The lines of a run's log of scalars that are of training steps."""
    path = osp.join(runner.log_dir, 'vis_data', 'scalars.json')
    with open(path) as file:
        return [line for line in map(json.loads, file) if 'loss' in line]


def assert_same_weights(one, other) -> None:
    """Those of two runs are equal bit for bit."""
    one, other = one.model.state_dict(), other.model.state_dict()
    assert one.keys() == other.keys()
    for key in one:
        assert torch.equal(one[key], other[key]), key
