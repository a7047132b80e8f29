# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy
import pickle

import pytest
import torch
from builders import build
from mmengine.registry import MODELS, DefaultScope
from torch import nn

NARROW = dict(base_channels=8, stem_channels=8)


def shallow(scope='mmdet', **fields):
    return build(
        dict(
            dict(type='ShallowResNet', blocks=(1, 1, 1, 1)), **NARROW,
            **fields),
        scope=scope)


@pytest.mark.parametrize('scope', ['mmdet', 'mmpretrain'])
def test_it_is_the_backbone_of_the_scope_with_fewer_blocks(scope):
    deep = build(dict(type='ResNet', depth=50, **NARROW), scope=scope)
    backbone = shallow(scope)
    assert type(backbone) is type(deep)
    assert [len(getattr(backbone, f'layer{i}'))
            for i in range(1, 5)] == [1] * 4
    assert type(backbone.layer1[0]) is type(deep.layer1[0])
    # The class is as it was.
    assert len(
        build(dict(type='ResNet', depth=50, **NARROW),
              scope=scope).layer1) == 3


def test_its_kind_of_block_is_that_of_the_depth():
    assert type(shallow(depth=34).layer1[0]).__name__ == 'BasicBlock'
    assert type(shallow(depth=101).layer1[0]).__name__ == 'Bottleneck'


@pytest.mark.parametrize('scope, kind', [
    ('mmdet', 'ResNetV1d'),
    ('mmpretrain', 'ResNet_CIFAR'),
])
def test_relatives_of_resnet(scope, kind):
    backbone = shallow(scope, kind=kind)
    assert type(backbone).__name__ == kind
    assert len(backbone.layer3) == 1


def test_the_backbone_may_be_named_by_its_class():
    from mmdet.models.backbones import ResNetV1d
    assert type(shallow('mmengine', kind=ResNetV1d)) is ResNetV1d


def test_it_has_the_number_of_stages_that_it_is_asked_for():
    backbone = shallow(
        'mmpretrain',
        blocks=(1, 2),
        num_stages=2,
        strides=(1, 2),
        dilations=(1, 1),
        out_indices=(1, ))
    assert len(backbone.layer2) == 2 and not hasattr(backbone, 'layer3')


def test_it_can_be_copied_and_pickled():
    backbone = shallow()
    for other in (copy.deepcopy(backbone),
                  pickle.loads(pickle.dumps(backbone))):
        assert len(other.layer1) == 1
        torch.testing.assert_close(other.conv1.weight, backbone.conv1.weight)


def test_its_weights_are_initialized_as_of_every_resnet():
    backbone = shallow()
    backbone.init_weights()
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    # The last norm of each block is 0 at first (zero_init_residual).
    assert [float(n.weight.detach().sum()) for n in norms].count(0.) == 4


@pytest.mark.parametrize('fields, message', [
    (dict(blocks=(1, 1)), 'should be 4 numbers'),
    (dict(blocks=3), 'should be 4 numbers'),
    (dict(blocks=(1, 1, 0, 1)), 'should be an integer >= 1'),
    (dict(depth=26), 'its depths: .18, 34, 50, 101, 152'),
    (dict(kind='SwinTransformer'), r'its depths: \[\]'),
    (dict(kind='ResNot'), r'its depths: \[\]'),
])
def test_what_is_no_resnet_is_refused(fields, message):
    fields = dict(dict(type='ShallowResNet', blocks=(1, 1, 1, 1)), **fields)
    with DefaultScope.overwrite_default_scope('mmdet'), \
            pytest.raises(ValueError, match=message):
        MODELS.build(fields)
