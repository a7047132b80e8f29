# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
from torch import nn

from mmw2s.utils.kinds import bare_name, is_kind


@pytest.mark.parametrize('kind', [
    'Conv2d',
    'mmdet.Conv2d',
    'torch.nn.modules.conv.Conv2d',
    nn.Conv2d,
])
def test_a_class_has_one_bare_name_however_it_is_written(kind):
    assert bare_name(kind) == 'Conv2d'


def test_a_hook_that_is_only_adjusted_has_no_class():
    assert bare_name(None) == 'None'


def test_the_bases_of_a_class_count():
    conv = nn.Conv2d(1, 1, 1)
    assert is_kind(conv, '_ConvNd') and is_kind(conv, 'Linear', 'Conv2d')
    assert not is_kind(conv, 'Conv')
