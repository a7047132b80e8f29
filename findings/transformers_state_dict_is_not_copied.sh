#!/usr/bin/env bash
# transformers 5.24.0: a student started with from_pretrained(state_dict=...)
# trains its teacher.
#
# Behavior: from_pretrained(None, config=larger, state_dict=teacher.
# state_dict()) does not copy, as load_state_dict of torch does: the tensors
# of the two models are the same memory. Each step of the student's optimizer
# changes the teacher, without a word, and a distillation's target moves with
# the student. A larger config shares the layers that both have. With another
# dtype, or copy.deepcopy(teacher.state_dict()), nothing is shared.
# For whom: who starts a student from a teacher that stays in use. From torch
# alone: load_state_dict(..., assign=True) does the same.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install -q torch==2.13.0 transformers==5.24.0 numpy==2.4.6
cd "$dir"
"$dir/env/bin/python" -W ignore - <<'PYTHON'
import copy

import torch
import transformers
from transformers import ViTConfig, ViTForImageClassification

print('transformers', transformers.__version__, ' torch', torch.__version__)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


def config(layers):
    return ViTConfig(
        hidden_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=16,
        patch_size=8,
        num_labels=3)


def trained(start):
    """A teacher, and how far its outputs move in a step of its student."""
    torch.manual_seed(0)
    teacher = ViTForImageClassification(config(2)).eval()
    student = start(teacher).train()
    images, labels = torch.randn(4, 3, 16, 16), torch.tensor([0, 1, 2, 0])
    with torch.no_grad():
        before = teacher(images).logits
    places = {p.data_ptr() for p in teacher.parameters()}
    shared = sum(p.data_ptr() in places for p in student.parameters())
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    student(images, labels=labels).loss.backward()
    optimizer.step()
    with torch.no_grad():
        moved = (teacher(images).logits - before).abs().max().item()
    print(f'{shared} of the {len(places)} parameters are shared, one step of '
          f'the student moves the teacher\'s logits by {moved:.3f}')
    return shared == len(places), shared == 0, moved


def from_pretrained(layers, change=lambda weights: weights, **fields):
    return lambda teacher: ViTForImageClassification.from_pretrained(
        None,
        config=config(layers),
        state_dict=change(teacher.state_dict()),
        **fields)


def assigned(teacher, assign=True):
    student = ViTForImageClassification(config(2))
    student.load_state_dict(teacher.state_dict(), assign=assign)
    return student


for start in (from_pretrained(2), from_pretrained(4), assigned):
    all_shared, _, moved = trained(start)
    assert all_shared and moved > 0.1
for start in (from_pretrained(4, copy.deepcopy),
              lambda teacher: assigned(teacher, assign=False)):
    _, none_shared, moved = trained(start)
    assert none_shared and moved == 0
PYTHON
echo "as described"
