# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from mmengine.registry import MODELS

from mmw2s.models.hidden_layer import HiddenLayer


def test_it_is_one_layer_with_a_relu_laid_out_as_maps():
    layer = MODELS.build(dict(type='HiddenLayer', in_features=6, width=3))
    images = torch.randn(2, 1, 1, 6)
    maps, = layer(images)
    weight, bias = layer.linear.weight, layer.linear.bias
    expected = (images[:, 0, 0] @ weight.T + bias).clamp(min=0)
    assert maps.shape == (2, 3, 1, 1)
    torch.testing.assert_close(maps[:, :, 0, 0], expected)


@pytest.mark.parametrize('fields', [
    dict(in_features=0, width=1),
    dict(in_features=1, width=0),
])
def test_a_layer_of_nothing_is_refused(fields):
    with pytest.raises(ValueError, match='should be an integer >= 1'):
        HiddenLayer(**fields)
