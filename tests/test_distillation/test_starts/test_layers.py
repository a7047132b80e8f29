# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from builders import build
from mmengine.model import revert_sync_batchnorm
from torch import nn
from toys import retinanet

from mmw2s.distillation.starts.layers import (agree, is_pretrained, layers_in,
                                              other_role, tensors_in)

TOWER = 'bbox_head.cls_convs.0.conv.weight'


def detector(depth=18, norm='BN', conv=None):
    cfg = retinanet(depth, channels=8)
    cfg['backbone']['norm_cfg'] = dict(type=norm)
    cfg['bbox_head']['conv_cfg'] = conv
    return build(cfg)


def test_the_tensors_of_a_layer_are_together():
    model = detector()
    found = [list(layer) for layer in layers_in(model, 'bbox_head')]
    assert ['bbox_head.retina_cls.weight',
            'bbox_head.retina_cls.bias'] in found
    names = [name for layer in found for name in layer]
    assert names == [name for name, _ in tensors_in(model, 'bbox_head')]


@pytest.mark.parametrize('kind', ['SyncBN', 'MMSyncBN', 'reverted'])
def test_all_kinds_of_batch_norm_have_one_role(kind, monkeypatch):
    # mmcv's asks for it when it is built.
    monkeypatch.setattr('torch.distributed.get_world_size', lambda *_: 1)
    other = revert_sync_batchnorm(detector(norm='SyncBN')) \
        if kind == 'reverted' else detector(norm=kind)
    plain = detector()
    assert type(other.backbone.bn1) is not type(plain.backbone.bn1)
    for name in ('bn1.running_mean', 'layer1.0.bn2.weight'):
        for pair in ((plain, other), (other, plain)):
            assert other_role(f'backbone.{name}', *pair) is None
    assert agree('backbone.layer1', plain, other)


def test_a_convolution_of_torch_and_mmcvs_of_that_name_have_one_role():
    torchs, mmcvs = (detector(conv=dict(type=k)) for k in ('Conv2d', 'Conv'))
    layers = [m.get_submodule(TOWER[:-7]) for m in (torchs, mmcvs)]
    assert type(layers[0]) is torch.nn.Conv2d is not type(layers[1])
    assert other_role(TOWER, torchs, mmcvs) is None


@pytest.mark.parametrize('kind, name', [
    ('DCNv2', 'ModulatedDeformConv2dPack'),
    ('ConvWS', 'ConvWS2d'),
])
def test_a_convolution_that_does_something_else_has_another_role(kind, name):
    plain, other = detector(), detector(conv=dict(type=kind))
    assert other_role(
        TOWER, plain,
        other) == (f'the student has a Conv2d here, the teacher a {name}')


def test_blocks_of_other_classes_do_not_agree():
    reason = other_role('backbone.layer1.0.conv2.weight', detector(50),
                        detector(18))
    assert reason == ('the student has a Bottleneck here, the teacher a '
                      'BasicBlock')
    assert not agree('backbone.layer1', detector(50), detector(18))
    assert not agree('backbone.layer1', detector(34), detector(18))


def test_a_backbone_of_timm_counts_as_pretrained():
    # It loads its weights when it is built, and has no init_cfg.
    backbone = type('TIMMBackbone', (nn.Module, ), {})()
    assert is_pretrained(_with(backbone))
    assert not is_pretrained(_with(nn.Linear(1, 1)))


def _with(backbone):
    model = nn.Module()
    model.backbone = backbone
    return model
