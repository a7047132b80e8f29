#!/usr/bin/env bash
# onedl-mmengine 0.10.12: save_best='mape' keeps the worst checkpoint.
#
# Behavior: CheckpointHook tells from a metric's name whether greater is
# better, and looks for parts of words: "map" (mean average precision) is in
# "mape", the mean absolute percentage error, and in "heatmap_loss"; "acc" is
# in "loss_acc". Of a run whose error falls from 30 to 10 %, the checkpoint
# with 30 % is kept as the best, without a word. rule='less' beside save_best
# is the remedy.
# For whom: regression, keypoints by heat maps, any error named so.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install -q torch==2.13.0 onedl-mmengine==0.10.12 \
    opencv-python-headless==4.14.0.94 numpy==2.4.6
cd "$dir"
"$dir/env/bin/python" -W ignore - <<'PYTHON'
import glob
from importlib.metadata import version

import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import CheckpointHook
from mmengine.model import BaseModel
from mmengine.runner import Runner


class Line(BaseModel):

    def __init__(self):
        super().__init__()
        self.line = torch.nn.Linear(1, 1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        y = self.line(inputs)
        return dict(loss=y.square().mean()) if mode == 'loss' else [y]


class Error(BaseMetric):
    """Falls by 10 % a validation."""
    left = [30., 20., 10.]

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(mape=self.left.pop(0))


def best(work_dir, **rule):
    Error.left = [30., 20., 10.]
    loader = dict(
        dataset=[dict(inputs=torch.ones(1))] * 2,
        batch_size=2,
        collate_fn=dict(type='default_collate'),
        sampler=dict(type='DefaultSampler', shuffle=False))
    Runner(
        Line(),
        work_dir,
        train_dataloader=loader,
        val_dataloader=loader,
        val_evaluator=[Error()],
        train_cfg=dict(by_epoch=True, max_epochs=3),
        val_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=.1)),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', save_best='mape', **rule)),
        log_level='ERROR',
        experiment_name=work_dir).train()
    return [path.split('/')[-1] for path in glob.glob(f'{work_dir}/best_*')]


print('onedl-mmengine', version('onedl-mmengine'), ' torch',
      torch.__version__)
for metric in ('mape', 'heatmap_loss', 'loss_acc'):
    rule, = CheckpointHook(save_best=metric).rules
    print(f'save_best={metric!r}: {rule} is taken for better')
    assert rule == 'greater'
kept, right = best('as_it_is'), best('with_rule', rule='less')
print('mape of 30, 20 and 10 % after epochs 1, 2 and 3: kept is', kept,
      "- with rule='less'", right)
assert kept == ['best_mape_epoch_1.pth'] and right == ['best_mape_epoch_3.pth']
PYTHON
echo "as described"
