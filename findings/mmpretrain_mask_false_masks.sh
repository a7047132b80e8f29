#!/usr/bin/env bash
# mmpretrain 1.2.0: MAE's backbone masks the image where it is told mask=False.
#
# Behavior: by its docstring, MAEViT.forward(x, mask) gives the features of the
# whole image "if the mask is None or False". The code asks `if mask is None or
# False`, which is true for None alone: with mask=False three quarters of the
# patches are dropped at random, and a tuple (features, mask, ids) comes back.
# Nothing is raised: features[0] has the form of a backbone's last output. The
# same line is in MAEHiViT, iTPN's HiViT and CLIP backbones, MFFViT and
# MixMIM's, and all of them in onedl-mmpretrain 1.3.6.
# For whom: everyone who takes features of a self-supervised backbone, to probe
# it or to distill from it. Give mask=None.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install -q torch==2.14.1 torchvision==0.29.1 \
    mmpretrain==1.2.0 mmengine==0.10.7 mmcv-lite==2.2.0 \
    opencv-python-headless==4.14.0.94 numpy==2.4.6 'setuptools<82'
cd "$dir"
cat > features.py <<'PYTHON'
import mmpretrain
import torch
from mmpretrain.models.selfsup.mae import MAEViT

torch.manual_seed(0)
arch = dict(
    embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
backbone = MAEViT(arch=arch, img_size=32, patch_size=4)
backbone.init_weights()
backbone.eval()
images = torch.rand(2, 3, 32, 32)


def seen(mask):
    """Length of the first output, and whether it is the same each time."""
    with torch.no_grad():
        first, again = (backbone(images, mask=mask)[0] for _ in range(2))
    return tuple(first.shape), torch.equal(first, again)


print('mmpretrain', mmpretrain.__version__, 'torch', torch.__version__)
for mask in (None, False, True):
    print(f'mask={mask}: shape {seen(mask)[0]}, the same twice: '
          f'{seen(mask)[1]}')
assert seen(False)[0] == seen(True)[0] != seen(None)[0]
assert seen(None)[1] and not seen(False)[1]
PYTHON
"$dir/env/bin/python" -W ignore features.py
echo "as described"
