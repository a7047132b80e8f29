#!/usr/bin/env bash
# onedl-mmengine 0.10.12: a run with accumulative_counts that is resumed in the middle
# of an update makes that update of a part of its gradients, without a word.
#
# Behavior: a checkpoint holds neither the gradients that were accumulated so
# far nor how many there were. After a resume the optimizer wrapper counts on
# from the iteration, so the next update comes when it would have come. But it has
# only the gradients since the resume, each still divided by the full count.
# With a count of 3 and a checkpoint of iteration 4, the update of iteration 6 is
# two thirds of the unbroken run's. An epoch whose length is no multiple of the
# count is enough: CheckpointHook saves at its end.
# For whom: everyone who accumulates gradients and is preempted. Save at
# multiples of the count: CheckpointHook(by_epoch=False, interval=...).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install -q torch==2.13.0 onedl-mmengine==0.10.12 numpy==2.4.6 \
    opencv-python-headless==4.14.0.94 'setuptools<82'
cd "$dir"
cat > resume.py <<'PYTHON'
import mmengine
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner


class Falling(BaseModel):
    """Its loss is its weight, so that each gradient is 1."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, inputs, data_samples=None, mode='loss'):
        return dict(loss=self.weight * 1)


def weight_after(iterations, **fields):
    model = Falling()
    Runner(
        model,
        work_dir='run',
        train_dataloader=dict(
            dataset=[dict(inputs=torch.ones(1))] * 6,
            sampler=dict(type='DefaultSampler', shuffle=False),
            batch_size=1),
        train_cfg=dict(by_epoch=False, max_iters=iterations),
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=1.), accumulative_counts=3),
        default_hooks=dict(
            checkpoint=dict(
                type='CheckpointHook', by_epoch=False, interval=4)),
        default_scope='mmengine',
        log_level='ERROR',
        **fields).train()
    return model.weight.item()


unbroken = weight_after(6)
resumed = weight_after(6, load_from='run/iter_4.pth', resume=True)
print('mmengine', mmengine.__version__, 'torch', torch.__version__)
print(f'weight after 6 iterations: {unbroken:.4f} unbroken, '
      f'{resumed:.4f} resumed at iteration 4')
assert abs(unbroken + 2) < 1e-6 and abs(resumed + 1 + 2 / 3) < 1e-6
PYTHON
"$dir/env/bin/python" -W ignore resume.py
echo "as described"
