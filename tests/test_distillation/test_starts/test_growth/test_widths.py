# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from mmcv.ops import DeformConv2d, ModulatedDeformConv2d
from torch import nn

from mmw2s.distillation.starts.growth import (CannotGrow, copied, factor,
                                              grow_layer, split)


def grown(wide, narrow):
    wide.load_state_dict(grow_layer(wide, narrow))
    return wide


def maps(channels, seed=0):
    return torch.randn(
        4, channels, 6, 6, generator=torch.Generator().manual_seed(seed))


def assert_same(a, b):
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_copies_lie_beside_each_other():
    assert copied(torch.tensor([1, 2]), 2).tolist() == [1, 1, 2, 2]


def test_parts_sum_to_the_weight_and_differ():
    weight = torch.randn(3, 4, 2)
    parts = split(weight, 3).view(3, 4, 3, 2)
    torch.testing.assert_close(parts.sum(2), weight)
    assert (parts[:, :, 0] - parts[:, :, 1]).abs().min() > 0
    # None has turned its sign: each reads its copy as the narrow one did.
    assert (parts.sign() == weight.sign().unsqueeze(2)).all()


def test_inputs_that_are_no_more_are_not_split():
    weight = torch.randn(3, 4)
    assert torch.equal(split(weight, 1), weight)


@pytest.mark.parametrize('ins, outs', [(1, 2), (2, 1), (3, 2)])
@pytest.mark.parametrize('groups', [1, 2])
def test_a_convolution_computes_copies_of_copies(ins, outs, groups):
    narrow = nn.Conv2d(4, 6, 3, padding=1, groups=groups)
    wide = nn.Conv2d(4 * ins, 6 * outs, 3, padding=1, groups=groups)
    x = maps(4)
    assert_same(
        grown(wide, narrow)(copied(x, ins, 1)), copied(narrow(x), outs, 1))


def test_a_depthwise_convolution_has_more_groups():
    narrow = nn.Conv2d(4, 4, 3, groups=4)
    wide, x = grown(nn.Conv2d(8, 8, 3, groups=8), narrow), maps(4)
    assert_same(wide(copied(x, 2, 1)), copied(narrow(x), 2, 1))


@pytest.mark.parametrize('kind, bias', [(DeformConv2d, False),
                                        (ModulatedDeformConv2d, True)])
def test_a_deformable_convolution_computes_copies_of_copies(kind, bias):
    narrow = kind(4, 6, 3, padding=1, deform_groups=2, bias=bias)
    wide = kind(8, 12, 3, padding=1, deform_groups=2, bias=bias)
    x = maps(4)
    moves = torch.randn(4, 2 * 2 * 9, 6, 6) / 2
    masks = [torch.rand(4, 2 * 9, 6, 6)] if bias else []
    assert_same(
        grown(wide, narrow)(copied(x, 2, 1), moves, *masks),
        copied(narrow(x, moves, *masks), 2, 1))


@pytest.mark.parametrize('ins, outs', [(1, 2), (2, 1), (3, 2)])
def test_a_transposed_convolution_computes_copies_of_copies(ins, outs):
    narrow = nn.ConvTranspose2d(4, 6, 3, 2, output_padding=1)
    wide = nn.ConvTranspose2d(4 * ins, 6 * outs, 3, 2, output_padding=1)
    x = maps(4)
    assert_same(
        grown(wide, narrow)(copied(x, ins, 1)), copied(narrow(x), outs, 1))


def test_a_linear_layer_computes_copies_of_copies():
    narrow, x = nn.Linear(4, 3), torch.randn(5, 4)
    wide = grown(nn.Linear(8, 6), narrow)
    assert_same(wide(copied(x, 2, 1)), copied(narrow(x), 2, 1))


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize(
    'kind', [nn.BatchNorm2d, lambda n: nn.GroupNorm(2, n), nn.InstanceNorm2d])
def test_a_norm_computes_copies(kind, training):
    narrow = kind(4)
    for tensor in narrow.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 2)
    wide, x = grown(kind(8), narrow).train(training), maps(4)
    narrow.train(training)
    assert_same(wide(copied(x, 2, 1)), copied(narrow(x), 2, 1))


def test_a_layer_norm_computes_copies():
    narrow, x = nn.LayerNorm(6), torch.randn(5, 6)
    nn.init.normal_(narrow.weight)
    wide = grown(nn.LayerNorm(12), narrow)
    assert_same(wide(copied(x, 2, 1)), copied(narrow(x), 2, 1))


def chain(channels):
    return nn.Sequential(
        nn.Conv2d(3, channels, 3), nn.BatchNorm2d(channels), nn.ReLU(),
        nn.Conv2d(channels, channels, 3), nn.BatchNorm2d(channels), nn.ReLU(),
        nn.Conv2d(channels, 5, 2))


def alike(weight, k):
    """Cosine of what two copies of a channel have, mean over all."""
    one, other = weight.unflatten(0, (-1, k)).flatten(2).unbind(1)[:2]
    return torch.cosine_similarity(one, other).mean()


@pytest.fixture
def wide(request):
    torch.manual_seed(0)
    narrow, wide = chain(16), chain(16 * request.param)
    for own, given in zip(wide, narrow):
        state = grow_layer(own, given)
        if state:
            own.load_state_dict(state)
    return wide


@pytest.mark.parametrize('wide, k', [(2, 2), (3, 3)], indirect=['wide'])
def test_copies_differ_in_how_they_read_copies(wide, k):
    assert alike(wide[3].weight, k) < 0.9


@pytest.mark.parametrize('wide, k', [(2, 2), (3, 3)], indirect=['wide'])
def test_the_gradients_of_copies_differ(wide, k):
    wide(maps(3)).square().mean().backward()
    for layer in (wide[0], wide[3]):
        one, other = layer.weight.grad.unflatten(0, (-1, k)).unbind(1)[:2]
        assert not torch.allclose(one, other, rtol=0.01)


@pytest.mark.parametrize('wide', [2], indirect=True)
def test_copies_learn_different_things(wide):
    optimizer = torch.optim.AdamW(wide.parameters(), 1e-3)
    labels = torch.tensor([0, 1, 2, 3])
    for _ in range(50):
        optimizer.zero_grad()
        nn.functional.cross_entropy(wide(maps(3)).mean((2, 3)),
                                    labels).backward()
        optimizer.step()
    assert alike(wide[3].weight, 2) < 0.8


@pytest.mark.parametrize('wide, narrow, message', [
    (nn.Conv2d(3, 6, 1), nn.Conv2d(3, 4, 1), '6 outputs, the teacher 4: make'),
    (nn.Linear(5, 4), nn.Linear(2, 4), '5 inputs, the teacher 2'),
    (nn.Linear(2, 4), nn.Linear(4, 4), '2 inputs, the teacher 4'),
    (nn.Conv2d(4, 8, 3), nn.Conv2d(4, 8, 1), 'kernel_size is .3, 3.*1, 1'),
    (nn.Conv2d(4, 8, 1, 2), nn.Conv2d(4, 8, 1), 'stride is .2, 2'),
    (nn.Conv2d(4, 8, 1, groups=2), nn.Conv2d(4, 8, 1), '2 groups, the .* 1'),
    (nn.Conv2d(8, 8, 1, groups=8), nn.Conv2d(4, 8, 1), '8 groups, the .* 1'),
    (nn.ConvTranspose2d(
        8, 8, 1, groups=2), nn.ConvTranspose2d(
            4, 4, 1, groups=2), 'transposed convolution in groups'),
    (DeformConv2d(8, 8, 3, deform_groups=2), DeformConv2d(
        4, 4, 3), 'deform_groups is 2, the .* 1'),
    (nn.ConvTranspose2d(8, 8, 3, 2, output_padding=1),
     nn.ConvTranspose2d(4, 4, 3, 2), 'output_padding is .1, 1'),
    (nn.Linear(4, 8), nn.Linear(4, 4, bias=False), 'only one .* has a bias'),
    (nn.GroupNorm(4, 8), nn.GroupNorm(2, 4), 'num_groups is 4, the .* 2'),
    (nn.BatchNorm2d(8), nn.GroupNorm(
        2, 4), 'a BatchNorm2d here, the teacher a GroupNorm'),
    (nn.LayerNorm((4, 4)), nn.LayerNorm((4, 2)), 'other dimensions'),
    (nn.BatchNorm2d(8), nn.BatchNorm2d(4, affine=False), 'other tensors'),
])
def test_what_is_more_than_width_is_refused(wide, narrow, message):
    with pytest.raises(CannotGrow, match=message):
        grow_layer(wide, narrow)


def test_layers_without_a_rule_are_told():
    for cls in (nn.PReLU, nn.LocalResponseNorm):
        assert grow_layer(cls(4), cls(2)) is None


def test_batch_norms_of_one_and_of_several_processes_are_alike():
    state = grow_layer(nn.SyncBatchNorm(8), nn.BatchNorm2d(4))
    assert len(state['running_mean']) == 8


def test_a_factor_is_whole():
    assert factor(6, 2, 'channels') == 3
    with pytest.raises(CannotGrow, match='5 channels, the teacher 2'):
        factor(5, 2, 'channels')
