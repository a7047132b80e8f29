# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import DefaultScope
from mmpretrain.models import LoRAModel
from torch import nn

from mmw2s.utils.unwrap_model import unwrap_model


def test_a_plain_model_is_itself():
    model = nn.Linear(1, 1)
    assert unwrap_model(model) is model


def test_a_wrapper_is_taken_off():
    wrapper = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    nn.Module.__init__(wrapper)
    wrapper.module = nn.Linear(1, 1)
    assert unwrap_model(wrapper) is wrapper.module


def test_that_of_lora_is_taken_off_too():
    linear = dict(type='LinearClsHead', num_classes=2, in_channels=4)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        wrapper = LoRAModel(linear, rank=1, targets=[dict(type='fc')])
    assert unwrap_model(wrapper) is wrapper.module
