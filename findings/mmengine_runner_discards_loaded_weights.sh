#!/usr/bin/env bash
# mmengine 0.10.7 and onedl-mmengine 0.10.12: a Runner initializes anew what
# was loaded into its model before.
#
# Behavior: a model that is built, given weights by load_checkpoint and handed
# to Runner(model=...) loses them when train() begins, for that calls
# init_weights() of each model on which nobody has called it. There is no
# warning: only the table of initializations in the log file has it. Layers
# with a rule of initialization lose them (init_cfg of mmdet's backbones,
# necks and heads has one for all convolutions); the others keep them, running
# means too. So the model is a mixture, and its first losses look plausible.
# For whom: who starts a student from a teacher in a script. load_from=... or
# a hook's before_train comes late enough; else call model.init_weights()
# before the weights are loaded: a second call does nothing, with a warning.
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
import mmengine
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner, load_checkpoint
from torch import nn


class Net(BaseModel):

    def __init__(self):
        super().__init__(
            init_cfg=dict(type='Kaiming', layer='Conv2d', distribution='normal'
                          ))
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.line = nn.Linear(8, 1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        y = self.line(self.norm(self.conv(inputs)).mean((2, 3)))
        return dict(loss=y.square().mean()) if mode == 'loss' else [y]


def kept(name, prepare, **fields):
    """Which parameters are the teacher's when training has begun."""
    torch.manual_seed(1)
    model = Net()
    prepare(model)
    loader = dict(
        dataset=[dict(inputs=torch.ones(3, 8, 8))] * 2,
        batch_size=2,
        collate_fn=dict(type='default_collate'),
        sampler=dict(type='DefaultSampler', shuffle=False))
    Runner(
        model,
        f'runs_{mmengine.__version__}/{name}',
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=1),
        # Nothing is learned: what changes was initialized.
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.)),
        log_level='ERROR',
        experiment_name=f'{mmengine.__version__}_{name}',
        **fields).train()
    found = [
        key for key, value in model.named_parameters()
        if torch.equal(value, teacher[key])
    ]
    print(f'{name}: the teacher\'s are {", ".join(found)}')
    return found


def load(model):
    load_checkpoint(model, 'teacher.pth', logger='silent')


def init_then_load(model):
    model.init_weights()
    load(model)


print('mmengine', mmengine.__version__)
net = Net()
with torch.no_grad():
    for parameter in net.parameters():
        parameter.uniform_(1, 2)
teacher = net.state_dict()
torch.save(dict(state_dict=teacher), 'teacher.pth')
every = [key for key, _ in net.named_parameters()]
assert kept('loaded_before', load) == [
    key for key in every if not key.startswith('conv.')
]
assert kept('initialized_before_it_is_loaded', init_then_load) == every
assert kept('load_from', lambda model: None, load_from='teacher.pth') == every
PYTHON
"$dir/env/bin/python" -W ignore run.py
PYTHONPATH="$dir/original" "$dir/env/bin/python" -W ignore run.py
echo "as described"
