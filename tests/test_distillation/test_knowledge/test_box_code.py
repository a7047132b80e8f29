# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from types import SimpleNamespace

import pytest
from mmdet.models.task_modules import (DeltaXYWHBBoxCoder,
                                       DistancePointBBoxCoder)

from mmw2s.distillation.knowledge.box_code import box_code, code_size


def code(coder=None):
    return box_code(SimpleNamespace(bbox_coder=coder))


@pytest.mark.parametrize('field, value', [('target_stds', (.1, .1, .2, .2)),
                                          ('target_means', (0., 0., 0., 1.))])
def test_scales_are_part_of_the_code(field, value):
    assert code(DeltaXYWHBBoxCoder()) == code(DeltaXYWHBBoxCoder())
    assert code(DeltaXYWHBBoxCoder()) != \
        code(DeltaXYWHBBoxCoder(**{field: value}))


def test_a_list_is_as_good_as_a_tuple():
    stds = [.1, .1, .2, .2]
    assert code(DeltaXYWHBBoxCoder(target_stds=stds)) == \
        code(DeltaXYWHBBoxCoder(target_stds=tuple(stds)))


@pytest.mark.parametrize('field', ['clip_border', 'add_ctr_clamp'])
def test_what_becomes_of_a_decoded_box_is_not(field):
    one, other = (DeltaXYWHBBoxCoder(**{field: v}) for v in (True, False))
    assert code(one) == code(other)


def test_coders_are_told_apart():
    assert code(DeltaXYWHBBoxCoder()) != code(DistancePointBBoxCoder())
    assert code()['coder'] == 'NoneType'


def test_objects_count_by_their_kind():
    one, other = (SimpleNamespace(angle=object()) for _ in range(2))
    assert code(one) == code(other)
    assert code(one)['angle'] == 'object'


def test_numbers_of_a_delta():
    assert code_size(SimpleNamespace()) == 4
    assert code_size(SimpleNamespace(bbox_coder=None)) == 4
    rotated = SimpleNamespace(encode_size=5)
    assert code_size(SimpleNamespace(bbox_coder=rotated)) == 5
    assert code(rotated)['numbers'] == 5
