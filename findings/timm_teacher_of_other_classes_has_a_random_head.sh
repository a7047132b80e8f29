#!/usr/bin/env bash
# timm 1.0.31: a teacher that its distillation builds by name teaches random
# logits if the student has other classes than the teacher's weights.
#
# Behavior: LogitDistillationTask(student, 'resnet10t') builds the teacher with
# the student's number of classes. Where its weights have another number, their
# head is left out and a new one teaches, which differs from seed to seed.
# Nothing is raised, and nothing is shown at Python's default level of logging;
# at level INFO a line tells of missing keys, "expected if model is being
# adapted". teacher_pretrained_path, in contrast, refuses such a file.
# For whom: who distills a model that was pretrained on ImageNet into a student
# of a data set of their own, with timm.task.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install -q torch==2.14.1 torchvision==0.29.1 \
    timm==1.0.31 numpy==2.4.6
cd "$dir"
"$dir/env/bin/python" - 2> shown <<'PYTHON' || { cat shown; exit 1; }
import logging

import timm
import torch
from timm.task import LogitDistillationTask
from torch import nn

print('timm', timm.__version__, ' torch', torch.__version__)
torch.manual_seed(0)
# Stands for the download: a model of ImageNet's 1,000 classes.
pretrained = timm.create_model('resnet10t', num_classes=1000)
torch.save(pretrained.state_dict(), 'pretrained.pth')
student = timm.create_model('resnet10t', num_classes=10)
images = torch.randn(4, 3, 64, 64)


def task(seed, **fields):
    torch.manual_seed(seed)
    return LogitDistillationTask(
        student, 'resnet10t', criterion=nn.CrossEntropyLoss(), **fields)


def teacher(seed):
    return task(
        seed, teacher_pretrained_cfg_overlay=dict(file='pretrained.pth')
    ).teacher.eval()


first, second = teacher(1), teacher(2)
with torch.no_grad():
    same_backbone = torch.equal(
        first.model.forward_features(images),
        second.model.forward_features(images))
    given = torch.equal(first.model.forward_features(images),
                        pretrained.eval().forward_features(images))
    logits = [t(images) for t in (first, second)]
cosine = torch.cosine_similarity(*logits, dim=1)
print('two teachers of the same weights: features equal', same_backbone,
      ', those of the weights', given, '; cosine of their logits',
      [round(c, 2) for c in cosine.tolist()])
assert same_backbone and given and cosine.abs().max() < 0.9

lines = []
handler = logging.Handler()
handler.emit = lambda record: lines.append(
    (record.levelname, record.getMessage()))
logging.getLogger('timm').addHandler(handler)
logging.getLogger('timm').setLevel(logging.INFO)
teacher(1)
told = [line for line in lines if 'fc.weight' in line[1]]
print('told:', told)
assert [level for level, _ in told] == ['INFO']
try:
    task(1, teacher_pretrained_path='pretrained.pth')
except RuntimeError as error:
    print('teacher_pretrained_path:', *str(error).split('\n\t')[:2])
else:
    raise AssertionError('teacher_pretrained_path took it')
PYTHON
echo "shown at the default level: $(grep -c "fc" shown || true) lines on the head"
test "$(grep -c "fc" shown || true)" = 0
echo "as described"
