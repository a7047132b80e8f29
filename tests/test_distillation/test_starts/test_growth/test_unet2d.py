# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Grown UNets compute what the small ones do."""
import pytest
import torch
from grown import equal_copies, gap, grow, with_noise
from mmengine.config import Config
from tiny_diffusion import build as build_model
from tiny_diffusion import unet

from mmw2s.configs_path import configs_root
from mmw2s.distillation import FrozenTeacher
from mmw2s.distillation.starts import Grow
from mmw2s.distillation.starts.growth import CannotGrow, widths

diffusers = pytest.importorskip('diffusers')

ATTENTION = dict(
    down_block_types=('DownBlock2D', 'AttnDownBlock2D'),
    up_block_types=('AttnUpBlock2D', 'UpBlock2D'))
WIDE = dict(block_out_channels=(16, 32))


def model(**fields):
    cfg = unet(**{**dict(block_out_channels=(8, 16)), **ATTENTION, **fields})
    cfg.pop('type')
    torch.manual_seed(0)
    return diffusers.UNet2DModel(**cfg)


def output(model):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, 1, 8, 8, generator=generator)
    labels = torch.tensor([0, 1, 2]) \
        if model.config.num_class_embeds else None
    # Not 0: of that, the "fourier" embedding takes the logarithm.
    return model(images, torch.tensor([1, 50, 99]), labels).sample


def build(fields: dict, **both):
    student = model(**{**both, **fields})
    return student, with_noise(model(**both))


@pytest.mark.parametrize('fields, both', [
    (WIDE, {}),
    (dict(layers_per_block=3), {}),
    (dict(WIDE,
          layers_per_block=3), dict(resnet_time_scale_shift='scale_shift')),
    (dict(block_out_channels=(24, 48),
          layers_per_block=3), dict(layers_per_block=2)),
    (dict(WIDE, attention_head_dim=8), {}),
    (dict(WIDE, attention_head_dim=None), dict(attention_head_dim=16)),
    (dict(WIDE, time_embedding_dim=96), {}),
    (dict(WIDE, add_attention=True), dict(add_attention=False)),
    (dict(
        WIDE,
        layers_per_block=2,
        down_block_types=('AttnDownBlock2D', ) * 2,
        up_block_types=('AttnUpBlock2D', ) * 2), {}),
    (WIDE, dict(num_class_embeds=3)),
    (WIDE, dict(num_class_embeds=3, class_embed_type='timestep')),
    (WIDE, dict(time_embedding_type='learned', num_train_timesteps=100)),
    (WIDE, dict(time_embedding_type='fourier')),
    (WIDE, dict(flip_sin_to_cos=False)),
    (WIDE, dict(downsample_type='resnet', upsample_type='resnet')),
])
def test_it_computes_what_the_teacher_computes(fields, both):
    student, teacher = build(fields, **both)
    assert gap(output(student), output(teacher)) > 0.1
    grow(student, teacher)
    for is_training in (True, False):
        student.train(is_training), teacher.train(is_training)
        assert gap(output(student), output(teacher)) < 1e-5


def test_the_pair_of_the_configs():
    """Width 64 with 2 blocks a level -> 128 with 3, all an eighth as wide."""
    levels = dict(
        down_block_types=('DownBlock2D', 'AttnDownBlock2D', 'AttnDownBlock2D',
                          'DownBlock2D'),
        up_block_types=('UpBlock2D', 'AttnUpBlock2D', 'AttnUpBlock2D',
                        'UpBlock2D'),
        resnet_time_scale_shift='scale_shift',
        attention_head_dim=8)
    teacher = with_noise(
        model(
            block_out_channels=(8, 16, 16, 16), layers_per_block=2, **levels))
    student = model(
        block_out_channels=(16, 32, 32, 32), layers_per_block=3, **levels)
    assert gap(output(grow(student, teacher)), output(teacher)) < 1e-5


@pytest.mark.parametrize('name', ['digits', 'slim_cifar10'])
def test_the_slim_pairs_of_the_configs(name):
    configs = configs_root() / 'diffusion'
    student, teacher = (
        Config.fromfile(configs / f'{prefix}ddpm_{name}.py').model
        for prefix in ('w2s_', ''))
    frozen = FrozenTeacher(dict(model=teacher), checkpoint=None)
    started = Grow().apply(build_model(student), frozen, None)
    assert 0.5 < started.share < 1


def gradients(student):
    output(student).square().sum().backward()
    return equal_copies(student)


def test_copies_learn_different_things(monkeypatch):
    student, teacher = build(WIDE)
    assert gradients(grow(student, teacher)) == []
    # Without noise they would not.
    monkeypatch.setattr(widths, 'NOISE', 0)
    student, teacher = build(WIDE)
    assert 'conv_in.weight' in gradients(grow(student, teacher))


def test_new_blocks_learn_at_once():
    student, teacher = build(dict(layers_per_block=2))
    output(grow(student, teacher)).square().sum().backward()
    for block in (student.down_blocks[1], student.up_blocks[0]):
        for layer in (block.resnets[1].conv2, block.attentions[1].to_out[0]):
            assert layer.weight.abs().max() == 0 < layer.weight.grad.abs().max(
            )


def test_new_frequencies_of_the_time_learn_at_once():
    student, teacher = build(WIDE)
    output(grow(student, teacher)).square().sum().backward()
    weight = student.time_embedding.linear_1.weight
    new = weight.abs().amax(0) == 0
    assert new.sum() == 8 and (weight.grad[:, new].abs().amax(0) > 0).all()


@pytest.mark.parametrize('fields, message', [
    (dict(block_out_channels=(12, 24)),
     r'has 12 channels \(block_out_channels\), the teacher 8: .*multiple'),
    (dict(block_out_channels=(16, 16)), 'make all the same multiple'),
    (dict(
        block_out_channels=(8, 16, 16),
        down_block_types=('DownBlock2D', ) * 3,
        up_block_types=('UpBlock2D', ) * 3), 'has 3 levels'),
    (dict(WIDE, norm_num_groups=8), 'its norm_num_groups is 8.*4'),
    (dict(WIDE, num_class_embeds=5), 'its num_class_embeds is 5.*None'),
    (dict(WIDE, act_fn='gelu'), 'its act_fn is gelu'),
    (dict(
        WIDE,
        down_block_types=('DownBlock2D', ) * 2,
        up_block_types=('UpBlock2D', ) * 2),
     'down_blocks.1.attentions.0: only the teacher has attention'),
    (dict(WIDE, attention_head_dim=16),
     'attentions.0: the student has 2 heads.*the teacher 4'),
    (dict(WIDE, add_attention=False), 'mid_block.attentions.0: only the t'),
])
def test_what_it_cannot_grow_is_refused(fields, message):
    student, teacher = build(fields)
    with pytest.raises(CannotGrow, match=message):
        grow(student, teacher)


def test_fewer_layers_are_refused():
    student, teacher = build(dict(layers_per_block=1), layers_per_block=2)
    with pytest.raises(CannotGrow, match='down_blocks.0: the student has 1 '):
        grow(student, teacher)


def test_frequencies_that_are_no_part_of_the_others_are_refused():
    student, teacher = build(WIDE, freq_shift=1)
    with pytest.raises(CannotGrow, match='time_embedding: .*freq_shift=0'):
        grow(student, teacher)


def test_embeddings_that_are_given_are_refused():
    student, teacher = build(WIDE, class_embed_type='identity')
    with pytest.raises(CannotGrow, match='class_embedding: .*wider embedd'):
        grow(student, teacher)


def test_new_attention_beside_a_scaled_shortcut_is_refused():
    student, teacher = build(
        dict(WIDE, add_attention=True),
        add_attention=False,
        mid_block_scale_factor=2.)
    with pytest.raises(CannotGrow, match='mid_block_scale_factor=1'):
        grow(student, teacher)
