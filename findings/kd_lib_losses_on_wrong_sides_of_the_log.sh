#!/usr/bin/env bash
# KD_Lib 0.0.32: three of its distillation losses are no divergence.
#
# Behavior, each with the loss that the class takes by default:
# - RCO gives NaN in the first batch: it hands log-probabilities to torch's
#   KLDivLoss as the target, which takes their logarithm.
# - ProbShift and LabelSmoothReg hand it probabilities as the input, which
#   should be their logarithm, and the teacher's where the student's belong.
#   Two equal models do not get 0, and a student that is equally unsure of all
#   classes gets less than one that equals its teacher.
# - BANN divides by the classes too (KLDivLoss()'s 'mean'), CSKD does not: a
#   distil_weight does not carry over between them.
# For whom: who takes this package for a baseline.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install -q torch==2.13.0 numpy==2.4.6 matplotlib==3.10.9 \
    tqdm==4.67.1 tensorboard==2.20.0
"$dir/env/bin/pip" install -q --no-deps KD-Lib==0.0.32
"$dir/env/bin/python" -W ignore - <<'PYTHON'
import math
import sys
import types
from importlib.metadata import distribution, version

import torch

print('KD-Lib', version('KD-Lib'), ' torch', torch.__version__)


# Without the __init__ files: they import parts for text, which need more.
def without_init(name):
    package = types.ModuleType(name)
    package.__path__ = [
        str(distribution('KD-Lib').locate_file(name.replace('.', '/')))
    ]
    sys.modules[name] = package


for name in ('KD_Lib', 'KD_Lib.KD', 'KD_Lib.KD.vision', 'KD_Lib.KD.vision.KA',
             'KD_Lib.KD.vision.RCO', 'KD_Lib.KD.vision.BANN',
             'KD_Lib.KD.vision.CSKD'):
    without_init(name)
from KD_Lib.KD.vision.BANN.BANN import BANN  # noqa: E402
from KD_Lib.KD.vision.CSKD.cskd import CSKD  # noqa: E402
from KD_Lib.KD.vision.KA.LSR import LabelSmoothReg  # noqa: E402
from KD_Lib.KD.vision.KA.PS import ProbShift  # noqa: E402
from KD_Lib.KD.vision.RCO.rco import RCO  # noqa: E402

torch.manual_seed(0)
model = torch.nn.Linear(4, 10)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
teacher = 4 * torch.randn(16, 10)
labels = teacher.argmax(1)
unsure = torch.zeros(16, 10)


def of(kind, student, **weight):
    distiller = kind(
        model, model, None, None, optimizer, optimizer, temp=1., **weight)
    return distiller.calculate_kd_loss(student, teacher, labels).item()


rco = of(RCO, teacher, distil_weight=1.)
print(f'RCO, a student that equals its teacher: {rco}')
assert math.isnan(rco)
for kind in (ProbShift, LabelSmoothReg):
    equal, least = (of(kind, logits, ka_weight=1.)
                    for logits in (teacher, unsure))
    print(f'{kind.__name__}: {equal:.4f} for a student that equals its '
          f'teacher, {least:.4f} for one that is unsure of everything')
    assert abs(equal) > 0.1 and least < equal

banned = BANN(model, None, None, optimizer, 2, temp=1., distil_weight=1.)
banned.gen = 1
bann = banned.calculate_kd_loss(unsure, teacher, labels).item()
cskd = CSKD.calculate_kd_loss(
    types.SimpleNamespace(temp=1.), unsure, teacher).item()
print(f'BANN {bann:.4f}, CSKD {cskd:.4f} for the same logits of 10 classes')
assert abs(cskd / bann / 10 - 1) < 1e-3
PYTHON
echo "as described"
