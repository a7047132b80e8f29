#!/usr/bin/env bash
# mmrazor 1.0.0: DKDLoss(reduction='mean') is the sum over the batch.
#
# Behavior: 'mean', which "divides by the number of elements", and 'none' give
# what 'sum' gives. Its own config of DKD asks for 'mean', so the distillation
# in it weighs as many times more as there are images on a GPU. 'batchmean' is
# right. Cause: it hands `size_average=False` to torch's kl_div beside the
# reduction, and that old argument of torch wins over all but 'batchmean'.
# For whom: who brings a loss_weight from mmrazor to another toolkit, or
# changes the batch size: at 32 images a GPU the equal weight elsewhere is 32.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install -q torch==2.13.0 mmengine==0.10.7 mmcv-lite==2.1.0 \
    "setuptools<81" numpy==2.2.6
"$dir/env/bin/pip" install -q --no-deps mmrazor==1.0.0
"$dir/env/bin/python" -W ignore - <<'PYTHON'
import importlib.util
import os.path as osp
from importlib.metadata import version

import mmrazor
import torch

print('mmrazor', version('mmrazor'), ' torch', torch.__version__)


def load(name):
    # The file alone: mmrazor.models asks for an older torch.
    path = osp.join(osp.dirname(mmrazor.__file__), 'models/losses', name)
    spec = importlib.util.spec_from_file_location(name[:-3], path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DKDLoss = load('decoupled_kd.py').DKDLoss
KLDivergence = load('kl_divergence.py').KLDivergence
torch.manual_seed(0)
student, teacher = torch.randn(2, 32, 10)
labels = torch.randint(10, (32, ))
for size in (8, 16, 32):
    batch = student[:size], teacher[:size]
    one_by_one = sum(
        DKDLoss()(s[None], t[None], y[None]).item()
        for s, t, y in zip(*batch, labels)) / size
    dkd = {
        reduction: DKDLoss(reduction=reduction)(*batch, labels[:size])
        for reduction in ('batchmean', 'mean', 'none', 'sum')
    }
    kl = {
        reduction: KLDivergence(reduction=reduction)(*batch)
        for reduction in ('batchmean', 'mean', 'sum')
    }
    print(f'batch of {size:2}: mean of the single samples {one_by_one:.4f}',
          *(f'{name} ' + ', '.join(f'{k} {v.item():.4f}'
                                   for k, v in values.items())
            for name, values in (('DKDLoss', dkd), ('KLDivergence', kl))),
          sep='\n    ')
    assert abs(dkd['batchmean'] / one_by_one - 1) < 1e-4
    assert dkd['mean'] == dkd['none'] == dkd['sum']
    assert abs(dkd['mean'] / one_by_one - size) < 1e-3
    # The other loss of the package divides, as its field says.
    assert abs(kl['mean'] * size * 10 / kl['sum'] - 1) < 1e-5
PYTHON
echo "as described"
