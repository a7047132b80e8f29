#!/usr/bin/env bash
# torchdistill 1.1.5: KDLoss(alpha=0) is T^2 times smaller than alpha near 0.
#
# Behavior: its documented formula is alpha CE + (1 - alpha) T^2 KL. With
# alpha=0, or where no targets are given, it returns KL without T^2: at T=4,
# alpha=0.001 gives 16 times what alpha=0 gives.
# For whom: who distills from outputs alone (no labels, or the task's loss is
# added elsewhere) and compares temperatures, or brings the weight along: the
# loss and its gradients then fall with T^2.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install -q torch==2.13.0 numpy==2.4.6
"$dir/env/bin/pip" install -q --no-deps torchdistill==1.1.5
"$dir/env/bin/python" -W ignore - <<'PYTHON'
import importlib.util
import sys
import types
from importlib.metadata import distribution, version

import torch
import torch.nn.functional as F

print('torchdistill', version('torchdistill'), ' torch', torch.__version__)


class _Package(types.ModuleType):
    __path__ = [str(distribution('torchdistill').locate_file('torchdistill'))]


# The losses alone: the package's own import asks for torchvision, which has
# no build for a CPU.
sys.modules['torchdistill'] = _Package('torchdistill')
from torchdistill.losses.mid_level import KDLoss  # noqa: E402

torch.manual_seed(0)
student, teacher = torch.randn(2, 16, 10)
labels = torch.randint(10, (16, ))
io = [dict(x=dict(output=logits)) for logits in (student, teacher)]
for temperature in (1., 2., 4.):
    kl = F.kl_div(
        F.log_softmax(student / temperature, 1),
        F.softmax(teacher / temperature, 1),
        reduction='batchmean').item()

    def kd(alpha, targets=labels):
        return KDLoss('x', 'output', 'x', 'output', temperature,
                      alpha)(*io, targets).item()

    print(f'T = {temperature:g}: KL {kl:.4f}, T^2 KL '
          f'{temperature**2 * kl:.4f}; KDLoss at alpha=0: {kd(0.):.4f}, at '
          f'alpha=0.001 less its CE: '
          f'{kd(1e-3) - 1e-3 * F.cross_entropy(student, labels).item():.4f}, '
          f'at alpha=0.5 without targets: {kd(0.5, None):.4f}')
    assert abs(kd(0.) - kl) < 1e-5 and abs(kd(0.5, None) - kl) < 1e-5
    near = kd(1e-3) - 1e-3 * F.cross_entropy(student, labels).item()
    assert abs(near / (0.999 * temperature**2 * kl) - 1) < 1e-3
PYTHON
echo "as described"
