# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from builders import outputs_of
from tiny_classifiers import DEIT, VIT, batch, build, classifier, teacher_of

from mmw2s.distillation import Recorder
from mmw2s.distillation.knowledge import HiddenFeatures
from mmw2s.distillation.knowledge.hidden_features import _as_maps

RESNET = classifier()
TOKENS = dict(neck=None, in_channels=16)
VIT_MODEL = classifier(type='VisionTransformerClsHead', backbone=VIT, **TOKENS)
DEIT_MODEL = classifier(type='DeiTClsHead', backbone=DEIT, **TOKENS)


@pytest.fixture
def hidden(tmp_path):
    """The pairs of one batch of two classifiers."""

    def step(student, teacher, module, teacher_module, size=(16, 16)):
        knowledge = HiddenFeatures(module, teacher_module)
        model = build(student).train()
        teacher = teacher_of(teacher, tmp_path / 'teacher.pth')
        knowledge.check(model, teacher.model)
        knowledge.bind(model, teacher.model)
        inputs = torch.randn(2, 3, *size)
        recorder = Recorder(model, [module], 'student')
        recorder.open()
        model(inputs, mode='tensor')
        recorded = recorder.close()
        outputs = outputs_of(
            teacher, [teacher_module], inputs=inputs, samples=batch(2)[1])
        return knowledge.pairs(recorded, outputs), recorded[module], outputs

    return step


def test_stages_are_paired_as_they_are(hidden):
    pairs, recorded, outputs = hidden(RESNET, RESNET, 'backbone.layer3',
                                      'backbone.layer3')
    assert [pair.name for pair in pairs] == ['backbone.layer3[0]']
    assert pairs[0].student is recorded[0].output
    assert pairs[0].teacher is outputs['backbone.layer3'][0].output


def test_tokens_become_the_maps_that_they_are_of(hidden):
    pairs, recorded, outputs = hidden(VIT_MODEL, DEIT_MODEL,
                                      'backbone.layers.0', 'backbone.layers.1')
    pair, = pairs
    assert pair.student.shape == pair.teacher.shape == (2, 16, 4, 4)
    tokens = recorded[0].output  # the class token first
    assert tokens.shape == (2, 17, 16)
    for row in range(4):
        for column in range(4):
            assert torch.equal(pair.student[:, :, row, column],
                               tokens[:, 1 + 4 * row + column])
    assert torch.equal(pair.teacher[:, :, 0, 0],
                       outputs['backbone.layers.1'][0].output[:, 2])
    pair.student.sum().backward()


def test_other_architectures_are_resized_and_projected(hidden):
    pairs, _, _ = hidden(VIT_MODEL, RESNET, 'backbone.layers.1',
                         'backbone.layer4')
    assert pairs[0].student.shape == pairs[0].teacher.shape == (2, 16, 4, 4)
    assert not pairs[0].teacher.requires_grad


def test_what_a_block_gives_beside_its_tokens_is_passed_over():
    tokens = torch.randn(2, 8, 3)
    maps = _as_maps('stage', (tokens, (2, 4)), (16, 32))
    assert [m.shape for m in maps] == [(2, 3, 2, 4)]


@pytest.mark.parametrize('tokens, size', [(1, (16, 32)), (7, (16, 16)),
                                          (8, (16, 16))])
def test_tokens_that_are_no_grid_of_the_image_are_refused(tokens, size):
    with pytest.raises(
            ValueError, match=f'block gives {tokens} tokens, which are no'):
        _as_maps('block', torch.zeros(1, tokens, 4), size)


def test_a_vector_is_refused_with_the_field_that_helps(hidden):
    with pytest.raises(
            ValueError,
            match=r'backbone gives a tensor of shape \(2, 16\), neither .* '
            'name a stage or a block'):
        hidden(VIT_MODEL, RESNET, 'backbone', 'backbone')
