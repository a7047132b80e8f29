#!/usr/bin/env bash
# nvidia-modelopt 0.47.0: LogitsDistillationLoss() is C times smaller than the
# loss of the paper that it names.
#
# Behavior: its default reduction, 'mean', divides the sum over samples AND
# classes by N x C, where Hinton et al. (arXiv:1503.02531) sum over the C
# classes: a thousandth on ImageNet, and a head of more classes is distilled
# less. reduction='none' does sum over the classes, so that
# Loss(reduction='none')(s, t).mean() is C times Loss()(s, t). 'batchmean' is
# the paper's for logits (N, C); for (N, L, C) it sums over L.
# For whom: who brings the weight of the loss along, or reduces by hand.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install -q torch==2.13.0 numpy==2.4.6
"$dir/env/bin/pip" install -q --no-deps nvidia-modelopt==0.47.0
"$dir/env/bin/python" -W ignore - <<'PYTHON'
import importlib.util
from importlib.metadata import distribution, version

import torch
import torch.nn.functional as F

print('nvidia-modelopt', version('nvidia-modelopt'), ' torch',
      torch.__version__)
# The file alone: the package asks for much that the loss does not use.
spec = importlib.util.spec_from_file_location(
    'losses',
    distribution('nvidia-modelopt').locate_file(
        'modelopt/torch/distill/losses.py'))
losses = importlib.util.module_from_spec(spec)
spec.loader.exec_module(losses)
Loss = losses.LogitsDistillationLoss

torch.manual_seed(0)
for classes in (10, 100, 1000):
    student, teacher = torch.randn(2, 16, classes)
    paper = (4**2 * (F.softmax(teacher / 4, -1) *
                     (F.log_softmax(teacher / 4, -1) -
                      F.log_softmax(student / 4, -1))).sum(-1)).mean().item()
    default = Loss(4.)(student, teacher).item()
    none = Loss(4., reduction='none')(student, teacher).mean().item()
    batchmean = Loss(4., reduction='batchmean')(student, teacher).item()
    print(f'{classes:4} classes, T = 4: the paper {paper:.5f}; default '
          f'{default:.5f} ({paper / default:.1f} times smaller), "none" and '
          f'its mean {none:.5f}, "batchmean" {batchmean:.5f}')
    assert abs(paper / default / classes - 1) < 1e-3
    assert abs(none / paper - 1) < 1e-3 and abs(batchmean / paper - 1) < 1e-3
PYTHON
echo "as described"
