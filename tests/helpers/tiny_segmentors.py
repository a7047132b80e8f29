# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Segmentors as mmseg has them, for tests without that package."""
import torch
import torch.nn.functional as F
from mmengine.model import BaseModel, ImgDataPreprocessor
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement
from torch import nn

from mmw2s.distillation import FrozenTeacher

CLASSES = ('sky', 'road', 'tree')


class Backbone(nn.Module):
    """Two maps, of strides 4 and 8."""

    def __init__(self, width):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 4, stride=4)
        self.layer = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)

    def forward(self, x):
        first = self.stem(x).relu()
        return first, self.layer(first).relu()


class DDRNet(Backbone):
    """In training two maps of one size, as mmseg's."""

    def forward(self, x):
        last = super().forward(x)[-1]
        return (-last, last) if self.training else last


class Head(nn.Module):
    """Its owner calls `forward`, so that no hook of the head runs."""

    def __init__(self, in_channels, maps, stride):
        super().__init__()
        self.out_channels, self.stride = maps, stride
        self.num_classes = max(maps, 2)
        self.dropout = nn.Dropout2d(0.1)
        self.conv_seg = nn.Conv2d(in_channels, maps, 1)

    def forward(self, x, previous=None):
        x = x if torch.is_tensor(x) else x[-1]
        return self.conv_seg(
            self.dropout(x[:, :, ::self.stride, ::self.stride]))


class IterativeDecodeHead(Head):
    """Does not use the layer that it inherits, as mmseg's."""

    def __init__(self, in_channels, maps, stride):
        super().__init__(in_channels, maps, stride)
        self.kernels = nn.Conv2d(in_channels, maps, 1)

    def forward(self, x, previous=None):
        return self.kernels(x[-1])


class MaskHead(nn.Module):
    """Gives no map of each class, as that of Mask2Former."""

    def __init__(self, in_channels, maps, stride):
        super().__init__()
        self.masks = nn.Conv2d(in_channels, maps, 1)

    def forward(self, x, previous=None):
        return self.masks(x[-1])


class BaseSegmentor(BaseModel):
    """The name by which segmentors are recognised."""


@MODELS.register_module()
class TinySegmentor(BaseSegmentor):
    """Takes images of any size.

    Args:
        width (int): Of the first map.
        maps (int): Number of the score maps.
        stride (int): Of the score maps, in maps of stride 8.
        cascade (bool): Whether it has two heads, the first called twice.
        neck (bool): Whether there is one.
        window (int, optional): Side of the windows that it slides over the
            images in prediction.
        head (type): Class of the heads.
        backbone (type): Class of the backbone.
    """

    def __init__(self,
                 width=4,
                 maps=3,
                 stride=1,
                 cascade=False,
                 neck=False,
                 window=None,
                 head='Head',
                 backbone='Backbone'):
        super().__init__(ImgDataPreprocessor([127.] * 3, [50.] * 3))
        self.backbone = globals()[backbone](width)
        if neck:
            self.neck = nn.Identity()
        kind = globals()[head]
        made = [kind(2 * width, maps, stride) for _ in range(1 + cascade)]
        self.decode_head = nn.ModuleList(made) if cascade else made[0]
        self.window = window
        self.images_seen = []

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            return dict(loss_ce=self._loss(inputs, data_samples))
        if mode == 'tensor' or self.window is None:
            return self._scores(inputs)
        side = self.window
        return [
            self._scores(inputs[..., y:y + side, x:x + side])
            for y in range(0, inputs.shape[2], side)
            for x in range(0, inputs.shape[3], side)
        ]

    def _features(self, inputs):
        self.images_seen.append(inputs)
        x = self.backbone(inputs)
        return self.neck(x) if hasattr(self, 'neck') else x

    def _scores(self, inputs):
        x = self._features(inputs)
        if not isinstance(self.decode_head, nn.ModuleList):
            return self.decode_head.forward(x)
        return self.decode_head[1].forward(x, self.decode_head[0].forward(x))

    def _loss(self, inputs, data_samples):
        x = self._features(inputs)
        heads = self.decode_head
        if isinstance(heads, nn.ModuleList):
            first = heads[0].forward(x)
            given = [first, heads[1].forward(x, heads[0].forward(x))]
        else:
            given = [heads.forward(x)]
        labels = torch.stack([sample.labels for sample in data_samples])
        return sum(
            F.cross_entropy(F.interpolate(scores, labels.shape[1:]), labels)
            for scores in given)


def build(seed=0, **fields):
    torch.manual_seed(seed)
    return TinySegmentor(**fields)


def teacher_of(path, **fields):
    torch.save(dict(state_dict=build(1, **fields).state_dict()), path)
    return FrozenTeacher(
        dict(model=dict(type='TinySegmentor', **fields)), str(path))


def batch(count=2, size=(32, 48), maps=3):
    generator = torch.Generator().manual_seed(0)
    samples = []
    for i in range(count):
        # Images that were cut from larger ones of several sizes.
        sample = BaseDataElement(
            metainfo=dict(img_shape=size, ori_shape=(64 + i, 64)))
        sample.labels = torch.randint(maps, size, generator=generator)
        samples.append(sample)
    return torch.randn(count, 3, *size, generator=generator), samples
