#!/usr/bin/env bash
# mmcv 2.2.0 (mmcv-lite): fuse_conv_bn changes what a model computes where one
# convolution serves several norms, or an activation comes before the norm.
#
# Behavior: the function folds each BatchNorm into the convolution that was
# registered before it. It asks neither who else has that convolution nor in
# which order the forward calls them. A head that shares its convolutions among
# levels, each with a norm of its own (RTMDetSepBNHead with share_conv=True, its
# default), gets one level's norm folded onto another's: of rtmdet_tiny with
# random statistics, the scores moved by more than their whole spread
# (onedl-mmdetection 3.5.1, onedl-mmcv 2.3.6). So does a ConvModule with
# order=('conv', 'act', 'norm'), which mmcv documents. Nothing is raised, and
# shapes stay as they were.
# For whom: everyone who measures or exports with it, such as by
# `benchmark.py --fuse-conv-bn` of mmdet. Compare an output before and after.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install -q torch==2.13.0 mmcv-lite==2.2.0 mmengine==0.10.7 \
    opencv-python-headless==4.14.0.94 numpy==2.4.6 'setuptools<82'
cd "$dir"
cat > fuse.py <<'PYTHON'
import mmcv
import torch
from mmcv.cnn import ConvModule, fuse_conv_bn
from torch import nn


def layer(**fields):
    return ConvModule(4, 4, 3, padding=1, norm_cfg=dict(type='BN'), **fields)


class Head(nn.Module):
    """Two levels: as RTMDet's head, one convolution and a norm for each."""

    def __init__(self, share):
        super().__init__()
        self.convs = nn.ModuleList([layer(), layer()])
        if share:
            self.convs[1].conv = self.convs[0].conv

    def forward(self, x):
        return torch.stack([conv(x) for conv in self.convs])


def moved(model):
    """Largest change of an output, as a share of the outputs' spread."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, .1)
            module.running_var.uniform_(.5, 1.5)
            module.weight.data.uniform_(.5, 1.5)
    model.eval()
    x = torch.randn(2, 4, 8, 8)
    with torch.no_grad():
        before = model(x).clone()
        after = fuse_conv_bn(model)(x)
    spread = (before - before.mean()).abs().max()
    return ((after - before).abs().max() / spread).item()


torch.manual_seed(0)
found = dict(
    own_convolutions=moved(Head(share=False)),
    shared_convolution=moved(Head(share=True)),
    conv_norm_act=moved(layer()),
    conv_act_norm=moved(layer(order=('conv', 'act', 'norm'))))
print('mmcv', mmcv.__version__, 'torch', torch.__version__)
for name, share in found.items():
    print(f'{name}: an output moved by {share:.2g} of the spread')
assert found['own_convolutions'] < 1e-5 and found['conv_norm_act'] < 1e-5
assert found['shared_convolution'] > 0.1 and found['conv_act_norm'] > 0.01
PYTHON
"$dir/env/bin/python" -W ignore fuse.py
echo "as described"
