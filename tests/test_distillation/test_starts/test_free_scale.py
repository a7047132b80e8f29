# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Maps whose scale no loss holds, before a head of the teacher's."""
import pytest
from builders import build
from tiny_two_stage import faster_rcnn
from toys import retinanet

from mmw2s.distillation.starts import Started
from mmw2s.distillation.starts.free_scale import warn_of_free_scale
from mmw2s.distillation.terms import build_terms

HEAD = Started(['bbox_head.retina_cls.weight'], 0.1, {})
GN = dict(norm_cfg=dict(type='GN', num_groups=2))
SCORES = dict(
    knowledge=dict(type='DenseHeadOutputs'),
    loss=dict(type='QualityFocalKDLoss'))


def maps(loss='PKDLoss', knowledge='FPNFeatures', module='neck', **fields):
    return dict(
        knowledge=dict(type=knowledge, module=module),
        loss=dict(type=loss, **fields))


def detector(**changes):
    cfg = retinanet(18, channels=8)
    for part, fields in changes.items():
        cfg[part].update(fields)
    return build(cfg)


def warn(*entries, model=None, started=HEAD):
    warn_of_free_scale(model or detector(), started, build_terms(entries))


@pytest.mark.parametrize('loss, free', [('PKDLoss', 'mean and scale'),
                                        ('CWDLoss', 'mean')])
def test_a_head_without_norms_is_warned_of(warned, loss, free):
    warn(maps(loss), SCORES)
    text, = warned
    assert text.startswith(f'loss_kd_fpn: {loss} leaves the {free} of the '
                           'maps of neck free, but bbox_head began')
    assert 'loss=dict(type="MSEKDLoss", loss_weight="auto")' in text


@pytest.mark.parametrize('part', ['neck', 'bbox_head'])
def test_a_norm_in_neck_or_head_makes_it_harmless(warned, part):
    warn(maps(), model=detector(**{part: GN}))
    assert warned == []


@pytest.mark.parametrize('entries', [
    [maps('MSEKDLoss')],
    [maps(), maps('MSEKDLoss', loss_weight=0.1)],
    [maps(), maps('FGDLoss', 'FocalFeatures')],
    [maps(loss_weight=0.), SCORES],
    [SCORES],
])
def test_so_does_a_loss_of_the_values_themselves(warned, entries):
    warn(*entries)
    assert warned == []


def test_a_loss_of_no_weight_holds_nothing(warned):
    warn(maps(), maps('MSEKDLoss', loss_weight=0.))
    assert len(warned) == 1


def test_a_head_of_the_students_own_is_no_matter(warned):
    warn(maps(), started=Started(['neck.fpn_convs.0.conv.weight'], 0.1, {}))
    assert warned == []


def test_a_head_that_is_taken_in_part_counts(warned):
    adapted = {'in part': ['bbox_head.retina_cls.weight']}
    warn(maps(), started=Started(['neck.x'], 0.1, {}, adapted))
    assert len(warned) == 1


def test_maps_with_a_norm_behind_them_in_the_backbone_are_harmless(warned):
    warn(maps(knowledge='HiddenFeatures', module='backbone.layer3'))
    assert warned == []
    warn(maps(knowledge='HiddenFeatures', module='backbone.layer4'))
    assert len(warned) == 1


def test_both_heads_of_a_two_stage_detector_are_named(warned):
    taken = ['rpn_head.rpn_cls.weight', 'roi_head.bbox_head.fc_cls.weight']
    warn(maps(), model=build(faster_rcnn()), started=Started(taken, 0.1, {}))
    text, = warned
    assert 'but rpn_head and roi_head began' in text
