# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
from builders import build
from tiny_heads import ATSS, FCOS, GFL
from tiny_two_stage import faster_rcnn
from torch import nn
from toys import retinanet

from mmw2s.distillation.recipes import default_distill
from mmw2s.distillation.recipes.head_weights import (feature_weight,
                                                     score_weight)


def head(kind, levels):
    """A model whose head is of that class."""
    model = nn.Module()
    model.bbox_head = type(kind, (nn.Module, ), {})()
    model.bbox_head.prior_generator = nn.Module()
    model.bbox_head.prior_generator.strides = [8] * levels
    return model


@pytest.mark.parametrize('kind', ['YOLOFHead', 'FCOSHead', 'GFLHead'])
def test_features_weigh_the_same_on_one_level_and_on_five(kind):
    one, five = (feature_weight(head(kind, n), 10.) for n in (1, 5))
    assert one == pytest.approx(5 * five)


def test_the_published_weights_stay():
    for levels in (3, 5):
        assert feature_weight(head('RetinaHead', levels), 10.) == 10
    assert score_weight(head('RetinaHead', 5).bbox_head) == 1
    weights = [
        entry['loss'].get('loss_weight') for entry in default_distill(
            *[build(faster_rcnn(18)) for _ in range(2)], full=True)
    ]
    assert weights == [6., 1., 1.]
    student = build(retinanet(18))
    assert [
        e['loss']['loss_weight']
        for e in default_distill(student, student, full=True)
    ] == [10., 1.]


@pytest.mark.parametrize('cfg, features, scores', [(FCOS, 16.667, 1.),
                                                   (ATSS, 16.667, 0.2),
                                                   (GFL, 3.333, 0.1)])
def test_other_heads_have_weights_of_their_own(cfg, features, scores):
    student = build(cfg)
    entries = default_distill(student, student, full=True)
    assert [e['loss']['loss_weight'] for e in entries] == [features, scores]


def test_a_transformer_weighs_its_maps_alike_too():
    model = head('DINOHead', 0)
    model.neck = type('ChannelMapper', (nn.Module, ), {})()
    model.neck.convs, model.neck.extra_convs = [1], None
    assert feature_weight(model, 10.) == 50
    model.neck.convs, model.neck.extra_convs = [1] * 3, [1]
    assert feature_weight(model, 10.) == 12.5


def test_of_an_unknown_number_of_levels_the_usual_weight_is_taken():
    assert feature_weight(nn.Module(), 10.) == 10
