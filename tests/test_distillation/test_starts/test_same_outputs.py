# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy
import random

import numpy as np
import pytest
import torch
from builders import TinyModel, build
from mmengine.model import BaseModel
from tiny_classifiers import VIT
from tiny_classifiers import build as build_classifier
from tiny_classifiers import classifier
from tiny_two_stage import cascade_rcnn, faster_rcnn, mask_rcnn
from torch import nn
from toys import retinanet

from mmw2s.distillation.starts.same_outputs import (outputs_of,
                                                    refuse_other_outputs,
                                                    seeded)


def moved(model, name, by=1e-3):
    """A copy of a model in which one weight is a little larger."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        model.get_parameter(name).view(-1)[0] += by
    return model


MODELS = {
    'RetinaNet': (retinanet(18), 'backbone.conv1.weight'),
    'Faster R-CNN': (faster_rcnn(18), 'roi_head.bbox_head.fc_cls.weight'),
    'its RPN': (faster_rcnn(18), 'rpn_head.rpn_cls.weight'),
    'Cascade R-CNN': (cascade_rcnn(18), 'roi_head.bbox_head.2.fc_reg.weight'),
    'Mask R-CNN': (mask_rcnn(18), 'roi_head.mask_head.convs.0.conv.weight'),
}


@pytest.mark.parametrize('which', MODELS)
def test_a_small_difference_of_a_detector_is_found(which):
    cfg, name = MODELS[which]
    model = build(cfg)
    refuse_other_outputs(model, copy.deepcopy(model))
    with pytest.raises(ValueError, match='differs by up to .* would allow'):
        refuse_other_outputs(moved(model, name), model)


@pytest.mark.parametrize('cfg, name', [
    (classifier(), 'backbone.conv1.weight'),
    (dict(
        classifier(backbone=VIT, neck=None, type='VisionTransformerClsHead'),
        head=dict(
            type='VisionTransformerClsHead', num_classes=3,
            in_channels=16)), 'backbone.cls_token'),
])
def test_a_small_difference_of_a_classifier_is_found(cfg, name):
    model = build_classifier(cfg)
    model.init_weights()
    for parameter in model.head.parameters():  # some begin at 0
        nn.init.normal_(parameter)
    refuse_other_outputs(model, copy.deepcopy(model))
    with pytest.raises(ValueError, match='output 0 of 1 .2 x 3. differs by'):
        refuse_other_outputs(moved(model, name, 1e-2), model)


def test_a_diffusion_model_is_shown_the_same_noise():
    tiny = pytest.importorskip('tiny_diffusion')
    model = tiny.build(tiny.diffusion(classes=3))
    refuse_other_outputs(model, copy.deepcopy(model))
    with pytest.raises(ValueError, match='output 0 of 1 .2 x 1 x 8 x 8.'):
        refuse_other_outputs(moved(model, 'denoiser.conv_in.weight'), model)


def test_a_difference_is_seen_beside_a_large_constant():
    model = TinyModel()
    nn.init.constant_(model.head[0].bias, 100)
    with pytest.raises(ValueError, match='differs by'):
        refuse_other_outputs(moved(model, 'head.0.weight'), model)


class Sharp(TinyModel):
    """Enlarges the rounding errors of a sum of parts."""

    def __init__(self, parts, dtypes=(torch.float32, torch.float64)):
        super().__init__()
        self.parts, self.dtypes = parts, dtypes

    def forward(self, inputs, *args, **kwargs):
        assert inputs.dtype in self.dtypes
        plain = super().forward(inputs, *args, **kwargs)
        total = sum(plain / self.parts for _ in range(self.parts))
        return torch.sin(1e5 * total)


def test_rounding_errors_that_a_model_enlarges_are_no_difference():
    model, other = Sharp(1), Sharp(7)
    other.load_state_dict(model.state_dict())
    own, given = outputs_of(student=other, teacher=model)
    assert (own[0] - given[0]).abs().max() > 1e-2
    refuse_other_outputs(other, model)
    with pytest.raises(ValueError, match='output 0 of 1'):
        refuse_other_outputs(moved(model, 'head.0.bias', 1e-6), model)


def test_models_for_float32_alone_are_compared_in_it():
    model, other = (Sharp(n, [torch.float32]) for n in (1, 7))
    other.load_state_dict(model.state_dict())
    refuse_other_outputs(copy.deepcopy(model), model)
    with pytest.raises(ValueError, match='output 0 of 1'):
        refuse_other_outputs(other, model)


def test_other_shapes_are_told():
    with pytest.raises(
            ValueError, match='student gives 2 x 5, the teacher 2 x 3'):
        refuse_other_outputs(
            build_classifier(classifier(num_classes=5)),
            build_classifier(classifier()))


def test_outputs_that_are_not_finite_are_no_proof():
    model = TinyModel()
    nn.init.constant_(model.body.weight, float('nan'))
    with pytest.raises(ValueError, match='are not finite'):
        refuse_other_outputs(TinyModel(), model)


def test_larger_images_are_tried_too():

    class Large(TinyModel):

        def __init__(self):
            super().__init__()
            self.head = nn.Sequential(nn.Conv2d(4, 2, 99, 64), nn.ReLU())

    model = Large()
    refuse_other_outputs(model, copy.deepcopy(model))
    with pytest.raises(ValueError, match='output 0 of 1 .2 x 2 x 4 x 4.'):
        refuse_other_outputs(moved(model, 'body.bias'), model)


def test_a_model_that_cannot_be_run_is_refused():

    class Picky(BaseModel):

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1)

        def forward(self, inputs, data_samples=None, mode='tensor'):
            raise KeyError('captions')

    with pytest.raises(
            ValueError,
            match='student cannot be run on .*2 x 1 x 320 x 320.*captions'):
        refuse_other_outputs(Picky(), Picky())


def states():
    return (random.getstate(), np.random.get_state()[1].tolist(),
            torch.get_rng_state().tolist())


def test_it_leaves_no_trace():
    student, teacher = build(retinanet(18, norm_eval=True)), build(
        retinanet(18)).eval()
    student.train()
    modes = [module.training for module in student.modules()]
    weights = copy.deepcopy(student.state_dict())
    before = states()
    with pytest.raises(ValueError, match='differs'):
        refuse_other_outputs(moved(student, 'backbone.conv1.weight'), teacher)
    refuse_other_outputs(student, teacher)
    assert states() == before
    assert [module.training for module in student.modules()] == modes
    assert True in modes and False in modes
    for name, tensor in student.state_dict().items():
        assert torch.equal(tensor, weights[name])
    assert all(p.grad is None for p in student.parameters())


def test_a_compiled_forward_is_not_called():
    model = build(retinanet(18))
    teacher = copy.deepcopy(model)
    model.forward = lambda *args, **kwargs: pytest.fail('compiled')
    refuse_other_outputs(model, teacher)


def test_random_numbers_of_a_seed_are_the_same_and_then_gone():
    before = torch.get_rng_state()
    with seeded():
        first = torch.rand(3)
    torch.rand(1)
    with seeded():
        assert torch.equal(first, torch.rand(3))
    torch.set_rng_state(before)
    with seeded(1):
        assert not torch.equal(first, torch.rand(3))
    assert torch.equal(torch.get_rng_state(), before)
