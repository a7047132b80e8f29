#!/usr/bin/env bash
# mmengine 0.10.7 and onedl-mmengine 0.10.12: EarlyStoppingHook ends a run
# whose metric rises in every validation, and forgets its count on a resume.
#
# Behavior: the docstring says that min_delta, "minimum difference to continue
# the training", is 0.01 by default; the signature says 0.1. A metric from 0 to
# 1 that rises by 0.018 a validation has gained less than 0.1 after five of
# them, and the run is ended, patience=5 being the default. And nothing of the
# hook is in a checkpoint: a run that is resumed after four validations without
# a gain waits for five more.
# For whom: everyone who stops a detector early by its mAP. min_delta=0.001
# beside monitor is the remedy of the first; the second has none.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install -q torch==2.13.0 onedl-mmengine==0.10.12 \
    opencv-python-headless==4.14.0.94 numpy==2.4.6
"$dir/env/bin/pip" install -q --no-deps --target "$dir/original" \
    mmengine==0.10.7
cd "$dir"
cat > run.py <<'PYTHON'
import inspect
import os
import re

import mmengine
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import EarlyStoppingHook
from mmengine.model import BaseModel
from mmengine.runner import Runner

os.environ['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'] = '1'


class Line(BaseModel):

    def __init__(self):
        super().__init__()
        self.line = torch.nn.Linear(1, 1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        y = self.line(inputs)
        return dict(loss=y.square().mean()) if mode == 'loss' else [y]


class Score(BaseMetric):
    left = []

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(mAP=self.left.pop(0))


def epochs(work_dir, scores, name, count=20, resume=False, **fields):
    """How many epochs a run lasts whose validations give these scores."""
    Score.left = list(scores)
    loader = dict(
        dataset=[dict(inputs=torch.ones(1))] * 2,
        batch_size=2,
        collate_fn=dict(type='default_collate'),
        sampler=dict(type='DefaultSampler', shuffle=False))
    runner = Runner(
        Line(),
        work_dir,
        train_dataloader=loader,
        val_dataloader=loader,
        val_evaluator=[Score()],
        train_cfg=dict(by_epoch=True, max_epochs=count),
        val_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=.1)),
        custom_hooks=[dict(type='EarlyStoppingHook', monitor='mAP', **fields)],
        log_level='ERROR',
        resume=resume,
        experiment_name=name)
    runner.train()
    return runner.epoch


root = f'runs_{mmengine.__version__}'
default = inspect.signature(EarlyStoppingHook).parameters['min_delta'].default
said = re.search(r'min_delta.*?Defaults to ([\d.]+\d)',
                 EarlyStoppingHook.__doc__, re.S).group(1)
print('mmengine', mmengine.__version__, f'min_delta: documented {said}, is',
      default)
assert (said, default) == ('0.01', 0.1)
rising = [0.30 + 0.018 * i for i in range(20)]
found = epochs(f'{root}/a', rising, 'a'), epochs(
    f'{root}/b', rising, 'b', min_delta=0.001)
print('mAP 0.300, 0.318, 0.336, ... in 20 epochs: ended after', found[0],
      '- with min_delta=0.001 after', found[1])
assert found == (6, 20)
flat = [0.3] * 20
whole = epochs(f'{root}/c', flat, 'c')
epochs(f'{root}/d', flat, 'd', count=5)
resumed = epochs(f'{root}/d', flat, 'e', resume=True)
print('mAP 0.3 throughout: ended after', whole,
      '- resumed after epoch 5 it is after', resumed)
assert (whole, resumed) == (6, 11)
PYTHON
"$dir/env/bin/python" -W ignore run.py
PYTHONPATH="$dir/original" "$dir/env/bin/python" -W ignore run.py
echo "as described"
