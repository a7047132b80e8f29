# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from builders import build
from torch import nn

from mmw2s.distillation.starts.growth import CannotGrow, grow_resnet

WIDE = dict(base_channels=16, stem_channels=16)


def resnet(depth=18, seed=0, scope='mmdet', kind='ResNet', **fields):
    """A ResNet whose norms have seen something."""
    cfg = dict(
        dict(
            type=kind,
            depth=depth,
            base_channels=8,
            stem_channels=8,
            norm_eval=False,
            frozen_stages=-1), **fields)
    model = build(cfg, seed, scope)
    if seed:  # the teacher
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
                nn.init.uniform_(module.weight, 0.5, 1)
                nn.init.normal_(module.bias, 0, 0.1)
    return model


def grown(student, teacher):
    tensors = student.state_dict()
    with torch.no_grad():
        for name, tensor in grow_resnet(student, teacher).items():
            tensors[name].copy_(tensor)
    return student


def assert_copies(student, teacher, k=1):
    """Maps of both models, with batch statistics and running ones."""
    images = torch.randn(
        2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for training in (False, True):
        # mmdet's `train` returns None.
        student.train(training), teacher.train(training)
        ours, theirs = student(images), teacher(images)
        assert len(ours) == len(theirs)
        for our, their in zip(ours, theirs):
            wide = their.repeat_interleave(k, 1)
            assert (our - wide).abs().max() < 1e-4 * wide.abs().max()
            assert their.std() > 0.01


@pytest.mark.parametrize('scope', ['mmdet', 'mmpretrain'])
@pytest.mark.parametrize('deep, shallow', [(34, 18), (101, 50)])
def test_more_blocks_change_nothing(scope, deep, shallow):
    student = resnet(deep, scope=scope)
    assert_copies(
        grown(student, resnet(shallow, 1, scope)), resnet(shallow, 1, scope))


@pytest.mark.parametrize('scope', ['mmdet', 'mmpretrain'])
@pytest.mark.parametrize('depth', [18, 50])
def test_more_channels_are_copies(scope, depth):
    teacher = resnet(depth, 1, scope)
    assert_copies(
        grown(resnet(depth, scope=scope, **WIDE), teacher), teacher, 2)


def test_three_times_the_channels_and_more_blocks_at_once():
    teacher = resnet(18, 1)
    student = resnet(34, base_channels=24, stem_channels=24)
    assert_copies(grown(student, teacher), teacher, 3)


@pytest.mark.parametrize('kind, fields', [
    ('ResNetV1d', {}),
    ('SEResNet', {}),
    ('Res2Net', dict(scales=4, base_width=26, deep_stem=True)),
    ('ResNeSt', dict(reduction_factor=1)),
])
def test_relatives_of_the_resnet_grow_deeper(kind, fields):
    fields = dict(fields, kind=kind, scope='mmpretrain')
    teacher = resnet(50, 1, **fields)
    assert_copies(grown(resnet(101, **fields), teacher), teacher)


@pytest.mark.parametrize('scope', ['mmdet', 'mmpretrain'])
def test_groups_of_a_resnext_keep_their_channels(scope):
    fields = dict(kind='ResNeXt', groups=4, scope=scope, base_channels=64)
    if scope == 'mmpretrain':
        fields['width_per_group'] = 4
        wide = dict(fields, width_per_group=8)
    else:
        fields['base_width'] = 4
        wide = dict(fields, base_width=8)
    teacher = resnet(50, 1, **fields)
    # Only what is inside the blocks is wider.
    assert_copies(grown(resnet(50, **wide), teacher), teacher)


def test_new_blocks_can_learn():
    student = grown(resnet(34), resnet(18, 1))
    loss = sum(x.square().mean() for x in student(torch.randn(2, 3, 64, 64)))
    loss.backward()
    new = student.layer1[2]
    assert new.bn2.weight.grad.abs().max() > 0
    # The rest of the block follows once this weight has moved.
    assert new.conv1.weight.grad.abs().max() == 0
    assert student.layer1[1].conv1.weight.grad.abs().max() > 0


def test_new_layers_keep_their_initialization():
    state = grow_resnet(resnet(34), resnet(18, 1))
    assert not [n for n in state if n.startswith('layer1.2.conv')]
    assert state['layer1.2.bn2.weight'].abs().max() == 0


def test_bottlenecks_do_not_grow_out_of_basic_blocks():
    with pytest.raises(
            CannotGrow,
            match='^layer1: its blocks are of Bottleneck, .* of BasicBlock'
            '.*ShallowResNet'):
        grow_resnet(resnet(50), resnet(18))


def test_a_student_does_not_shrink():
    with pytest.raises(CannotGrow, match='^layer1: it has 2 blocks.* 3'):
        grow_resnet(resnet(18), resnet(34))


@pytest.mark.parametrize('fields, message', [
    (dict(base_channels=12, stem_channels=12), 'conv1: the student has 12 '),
    (dict(base_channels=16), 'layer1.0.downsample: only the student has it'),
    (dict(
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(0, 1, 2)), 'it has 3 stages, the teacher\'s 4'),
    (dict(deep_stem=True), '(stem|conv1): only the (student|teacher) has it'),
    (dict(norm_cfg=dict(type='GN', num_groups=4)), 'gn1: only the student'),
])
def test_what_computes_something_else_is_refused(fields, message):
    with pytest.raises(CannotGrow, match=message):
        grow_resnet(resnet(**fields), resnet())


def test_other_backbones_are_no_resnets():
    with pytest.raises(
            CannotGrow, match='has a ResNet here, the .* a ResLayer'):
        grow_resnet(resnet(), resnet().layer1)


def test_a_new_block_without_a_norm_at_its_end_is_refused():
    student, teacher = resnet(34), resnet(18)
    student.layer1[2].bn1 = student.layer1[2].bn2 = nn.Identity()
    with pytest.raises(CannotGrow, match='^layer1.2: .* has to end in a norm'):
        grow_resnet(student, teacher)


def test_group_norms_grow_too():
    norm = dict(norm_cfg=dict(type='GN', num_groups=4))
    teacher = resnet(18, 1, **norm)
    for module in teacher.modules():
        if isinstance(module, nn.GroupNorm):
            nn.init.uniform_(module.weight, 0.5, 1)
    assert_copies(grown(resnet(34, **WIDE, **norm), teacher), teacher, 2)


def test_resnets_of_torchvision_grow():
    models = pytest.importorskip('torchvision.models')
    student, teacher = models.resnet34().eval(), models.resnet18().eval()
    grown(student, teacher)
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(student(images), teacher(images))
