#!/usr/bin/env bash
# Keras 3.15.1: LogitsDistillation, at its default, compares logits as if they
# were probabilities.
#
# Behavior: keras.distillation.LogitsDistillation applies softmax and T^2 only
# where its loss is a keras.losses.KLDivergence object. Its default is the name
# 'kl_divergence', for which keras.losses.get gives a function, so the logits,
# divided by the temperature and clipped to [1e-7, 1], are compared: a student
# that minimizes it does not come nearer to the teacher. The same is true of the
# examples of its docstring with 'categorical_crossentropy' and
# CategoricalCrossentropy(from_logits=True), which are negative for equal
# logits. LogitsDistillation(T, keras.losses.KLDivergence()) is the paper's
# T^2 KL(teacher || student), summed over classes, averaged over samples.
# For whom: who distils with Keras, or compares with it.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install -q torch==2.13.0 numpy==2.4.6 keras==3.15.1
KERAS_BACKEND=torch "$dir/env/bin/python" -W ignore - <<'PYTHON'
import keras
import torch
import torch.nn.functional as F
from keras.distillation import LogitsDistillation

print('keras', keras.__version__, ' torch', torch.__version__)
T = 4.
torch.manual_seed(0)
teacher, start = 3 * torch.randn(2, 64, 10)


def divergence(student):
    return T**2 * F.kl_div(
        F.log_softmax(student / T, -1),
        F.log_softmax(teacher / T, -1),
        log_target=True,
        reduction='batchmean').item()


def minimize(distillation):
    """The loss at first, that of equal logits, and the student it leads to."""
    student = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([student], lr=.1)
    first = distillation.compute_loss(teacher, student).item()
    for _ in range(1000):
        optimizer.zero_grad()
        distillation.compute_loss(teacher, student).backward()
        optimizer.step()
    equal = distillation.compute_loss(teacher, teacher).item()
    return first, equal, student.detach()


print(f'T^2 KL: {divergence(start):.3f} at first')
for name, loss in (
    ('the default', 'kl_divergence'),
    ("'categorical_crossentropy'", 'categorical_crossentropy'),
    ('CategoricalCrossentropy(from_logits=True)',
     keras.losses.CategoricalCrossentropy(from_logits=True)),
    ('KLDivergence()', keras.losses.KLDivergence())):
    first, equal, student = minimize(LogitsDistillation(T, loss))
    agree = (student.argmax(-1) == teacher.argmax(-1)).float().mean().item()
    print(f'{name}: {first:.3f} at first, {equal:.3f} for equal logits; '
          f'minimized it leaves T^2 KL = {divergence(student):.3f} and the '
          f'teacher\'s class in {agree:.0%} of 64 samples')
    if name == 'KLDivergence()':
        assert abs(first / divergence(start) - 1) < 1e-3
        assert agree == 1 and divergence(student) < .01
    else:
        assert agree < .9 and divergence(student) > divergence(start)
PYTHON
echo "as described"
