# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from mmw2s.pair.derive.readers import narrow


def test_parts_that_are_one_object_are_halved_once():
    part = dict(type='Head', in_channels=8, out_channels=True)
    model = dict(
        backbone=dict(base_channels=8),
        neck=dict(in_channels=[4]),
        one_head=part,
        other_head=part)
    assert narrow(model, .5)
    assert model['one_head'] is part
    assert part == dict(type='Head', in_channels=4, out_channels=True)
    assert model['neck'] == dict(in_channels=[4])
    assert model['backbone'] == dict(base_channels=8)
    assert not narrow(dict(head=dict(in_channels=3)), .5)
