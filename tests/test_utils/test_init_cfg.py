# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
from mmengine.config import ConfigDict
from mmengine.model import PretrainedInit

from mmw2s.utils.init_cfg import loads_weights


@pytest.mark.parametrize('init', [
    'torchvision://resnet50',
    True,
    dict(type='Pretrained', checkpoint='a.pth'),
    ConfigDict(type='PretrainedInit', checkpoint='a.pth'),
    dict(type=PretrainedInit, checkpoint='a.pth'),
    dict(type='mmengine.model.weight_init.PretrainedInit'),
    [dict(type='Xavier'),
     dict(type='Pretrained', checkpoint='a.pth')],
])
def test_weights_are_named(init):
    assert loads_weights(init)


@pytest.mark.parametrize('init', [
    None,
    False,
    [],
    dict(type='Kaiming', layer='Conv2d'),
    [dict(type='Xavier', layer='Conv2d')],
])
def test_random_weights_are_no_weights(init):
    assert not loads_weights(init)
