# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Grown diffusion transformers compute what the small ones do."""
import pytest
import torch
from grown import gap, grow, with_noise

from mmw2s.distillation.starts.growth import CannotGrow

diffusers = pytest.importorskip('diffusers')


def model(**fields):
    cfg = dict(
        num_attention_heads=2,
        attention_head_dim=4,
        in_channels=1,
        num_layers=2,
        sample_size=8,
        num_embeds_ada_norm=3)
    torch.manual_seed(0)
    return diffusers.DiTTransformer2DModel(**{**cfg, **fields})


def output(model):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, 1, 8, 8, generator=generator)
    for module in model.modules():  # as in a DenoisingDiffusion
        if hasattr(module, 'dropout_prob'):
            module.dropout_prob = 0.
    return model(
        images,
        torch.tensor([0, 50, 99]),
        class_labels=torch.tensor([0, 1, 2])).sample


@pytest.mark.parametrize('depth', [3, 5])
def test_it_computes_what_the_teacher_computes(depth):
    student, teacher = model(num_layers=depth), with_noise(model())
    assert gap(output(student), output(teacher)) > 0.1
    grow(student, teacher)
    for is_training in (True, False):
        student.train(is_training), teacher.train(is_training)
        assert gap(output(student), output(teacher)) < 1e-5


def test_new_blocks_learn_at_once():
    student = grow(model(num_layers=4), with_noise(model()))
    output(student).square().sum().backward()
    gates = student.transformer_blocks[1].norm1.linear
    assert gates.weight.abs().max() == 0 < gates.weight.grad.abs().max()


@pytest.mark.parametrize('fields, message', [
    (dict(num_attention_heads=4), 'num_attention_heads is 4.* 2: .*deeper'),
    (dict(attention_head_dim=8), 'attention_head_dim is 8.* 4: .*deeper'),
    (dict(patch_size=4), 'its patch_size is 4, the teacher\'s 2'),
    (dict(num_embeds_ada_norm=5), 'its num_embeds_ada_norm is 5'),
    (dict(num_layers=1), 'the student has 1 blocks, the teacher 2'),
])
def test_what_it_cannot_grow_is_refused(fields, message):
    with pytest.raises(CannotGrow, match=message):
        grow(model(**fields), model())
