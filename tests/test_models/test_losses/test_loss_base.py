# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What every distillation loss promises, whatever its formula."""
import pytest
import torch
from mmengine.registry import MODELS

from mmw2s.models import DistillationLoss

LOSSES = ('AttentionLoss', 'BoxKDLoss', 'CWDLoss', 'CosineKDLoss', 'DISTLoss',
          'DKDLoss', 'FGDLoss', 'KDLoss', 'MSEKDLoss', 'OFALoss', 'PKDLoss',
          'PLDLoss', 'QualityFocalKDLoss', 'RelationLoss')
ON_MAPS = ('AttentionLoss', 'CWDLoss', 'CosineKDLoss', 'FGDLoss', 'MSEKDLoss',
           'PKDLoss', 'RelationLoss')
# Those that are 0 where the two agree.
DIVERGENCES = [name for name in LOSSES if name not in ('OFALoss', 'PLDLoss')]
SHAPE = (2, 3, 4, 5)
every_loss = pytest.mark.parametrize('name', LOSSES)


def build(name, **kwargs):
    loss = MODELS.build(dict(type=name, **kwargs))
    if loss.needs_target:
        loss.register_forward_pre_hook(add_labels, with_kwargs=True)
    return loss


def add_labels(module, args, kwargs):
    labels = torch.zeros_like(args[0][..., 0], dtype=torch.long)
    return args, dict(kwargs, target=labels + 1)


def pair(*shape, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, *shape, generator=generator).to(dtype)
    return student.clone().requires_grad_(), teacher.clone()


def gradient_of(loss, student):
    return torch.autograd.grad(loss, student)[0]


@pytest.mark.parametrize('name', DIVERGENCES)
def test_identical_inputs_give_zero_and_no_gradient(name):
    student, _ = pair(*SHAPE)
    loss = build(name)(student, student.detach().clone())
    assert loss.item() == 0
    assert gradient_of(loss, student).abs().max() < 1e-7


@every_loss
def test_the_result_is_a_positive_float32_scalar(name):
    loss = build(name)(*pair(*SHAPE))
    assert loss.shape == () and loss.dtype == torch.float32 and loss > 0


@every_loss
def test_loss_weight_multiplies_the_result(name):
    student, teacher = pair(*SHAPE)
    once = build(name)(student, teacher)
    thrice = build(name, loss_weight=3.)(student, teacher)
    torch.testing.assert_close(thrice, 3 * once)


@every_loss
def test_a_step_down_the_gradient_lowers_the_loss(name):
    student, teacher = pair(*SHAPE)
    loss = build(name)(student, teacher)
    step = gradient_of(loss, student)
    after = build(name)(student - 0.1 * step, teacher)
    assert after < loss


@every_loss
def test_the_gradient_is_the_derivative_of_the_value(name):
    student, teacher = pair(*SHAPE, dtype=torch.float64)
    weight = torch.rand(2, 1, 4, 5, dtype=torch.float64)
    if name not in ON_MAPS:
        weight = torch.rand(2, 3, 4, dtype=torch.float64)
    loss = build(name)
    assert loss(student, teacher).dtype == torch.float64
    for arguments in ((None, None), (weight, 7.)):
        assert torch.autograd.gradcheck(lambda s: loss(s, teacher, *arguments),
                                        (student, ))


@every_loss
def test_no_gradient_reaches_teacher_weight_or_normalizer(name):
    student, teacher = pair(*SHAPE)
    teacher.requires_grad_()
    weight = torch.ones(1, 1, 1, requires_grad=True)
    avg_factor = torch.tensor(5., requires_grad=True)
    build(name)(student, teacher, weight, avg_factor).backward()
    assert student.grad is not None
    assert teacher.grad is weight.grad is avg_factor.grad is None


@every_loss
def test_avg_factor_divides_the_sum_and_is_at_least_one(name):
    loss, (student, teacher) = build(name), pair(*SHAPE)
    total = loss(student, teacher, avg_factor=1)
    for avg_factor in (4, 4., torch.tensor(4), torch.tensor([4.])):
        torch.testing.assert_close(
            loss(student, teacher, avg_factor=avg_factor), total / 4)
    for avg_factor in (0, torch.tensor(0.)):
        torch.testing.assert_close(
            loss(student, teacher, avg_factor=avg_factor), total)


@every_loss
@pytest.mark.parametrize('shape', [(0, 3, 4, 5), (2, 3, 0, 5)])
def test_empty_inputs_give_a_zero_that_is_connected_to_the_graph(name, shape):
    student, teacher = pair(*shape, dtype=torch.float16)
    loss = build(name)(student, teacher)
    assert loss.item() == 0 and loss.dtype == torch.float32
    assert gradient_of(loss, student).shape == shape


@every_loss
def test_value_and_gradient_are_zero_when_nothing_has_weight(name):
    student, teacher = pair(*SHAPE)
    loss = build(name)(student, teacher, torch.zeros(1, 1, 1))
    assert loss.item() == 0
    assert gradient_of(loss, student).abs().max() == 0


@every_loss
@pytest.mark.parametrize('dtypes', [(torch.float16, torch.float16),
                                    (torch.bfloat16, torch.bfloat16),
                                    (torch.float16, torch.float32),
                                    (torch.float32, torch.bfloat16)])
def test_half_precision_inputs_are_computed_in_float32(name, dtypes):
    student, teacher = pair(*SHAPE)
    student = student.detach().to(dtypes[0]).requires_grad_()
    teacher = teacher.to(dtypes[1])
    loss = build(name)(student, teacher)
    assert loss.dtype == torch.float32
    assert gradient_of(loss, student).dtype == dtypes[0]
    assert torch.equal(loss, build(name)(student.float(), teacher.float()))


@every_loss
def test_an_enclosing_autocast_changes_nothing(name):
    student, teacher = pair(*SHAPE)
    loss = build(name)(student, teacher)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        within = build(name)(student, teacher)
        assert torch.equal(within, loss)
        assert torch.equal(
            gradient_of(within, student), gradient_of(loss, student))


def test_matrix_products_of_a_loss_of_ones_own_escape_autocast_too():

    class InnerProduct(DistillationLoss):

        def compute(self, student, teacher, weight, avg_factor, temperature):
            return (student @ teacher.mT).sum()

    student, teacher = pair(*SHAPE)
    want = (student @ teacher.mT).sum()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert (student @ teacher.mT).dtype == torch.bfloat16
        assert torch.equal(InnerProduct()(student, teacher), want)


@every_loss
def test_strided_views_give_what_contiguous_tensors_give(name):
    student, teacher = pair(5, 4, 3, 2)
    views = [x.permute(3, 2, 1, 0)[..., 1:4] for x in (student, teacher)]
    assert not views[0].is_contiguous()
    loss = build(name)
    got, want = loss(*views), loss(*(x.contiguous() for x in views))
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(
        gradient_of(got, student), gradient_of(want, student))


@every_loss
def test_shapes_that_differ_are_refused_and_named(name):
    with pytest.raises(
            ValueError,
            match=r'(?s)' + name + r'.*\(2, 3, 4, 5\) '
            r'from the student.*\(2, 3, 4, 1\) from the teacher'):
        build(name)(torch.zeros(2, 3, 4, 5), torch.zeros(2, 3, 4, 1))


@every_loss
def test_a_weight_that_cannot_be_broadcast_is_refused(name):
    with pytest.raises(ValueError, match=r'\(7, 7, 7\)'):
        build(name)(*pair(*SHAPE), torch.ones(7, 7, 7))


@every_loss
@pytest.mark.parametrize('loss_weight', [-1., float('nan'), float('inf')])
def test_a_bad_loss_weight_is_refused(name, loss_weight):
    with pytest.raises(ValueError, match='loss_weight should be'):
        build(name, loss_weight=loss_weight)


@pytest.mark.parametrize('name', ['PKDLoss', 'MSEKDLoss', 'BoxKDLoss'])
def test_losses_without_a_temperature_ignore_one(name):
    student, teacher = pair(*SHAPE)
    loss = build(name)
    assert loss.temperature is None
    assert torch.equal(
        loss(student, teacher, temperature=4.), loss(student, teacher))


@pytest.mark.parametrize('name,field', [('KDLoss', 'temperature'),
                                        ('QualityFocalKDLoss', 'temperature'),
                                        ('DISTLoss', 'temperature'),
                                        ('DKDLoss', 'temperature'),
                                        ('CWDLoss', 'tau')])
def test_the_temperature_of_a_call_replaces_that_of_the_config(name, field):
    student, teacher = pair(*SHAPE)
    configured, plain = build(name, **{field: 4.}), build(name)
    want = configured(student, teacher)
    assert not torch.equal(plain(student, teacher), want)
    assert torch.equal(plain(student, teacher, temperature=4.), want)
    on_device = torch.tensor(4.)  # one that no host has to know
    assert torch.equal(plain(student, teacher, temperature=on_device), want)
    # T^2 times the loss of the logits divided by T.
    torch.testing.assert_close(want, 16 * plain(student / 4, teacher / 4))
    for bad in (0., -1., float('nan')):
        with pytest.raises(ValueError, match='temperature should be'):
            plain(student, teacher, temperature=bad)
        with pytest.raises(ValueError, match=f'{field} should be'):
            build(name, **{field: bad})


# -- labels --------------------------------------------------------------

needing_labels = pytest.mark.parametrize('name',
                                         ['DKDLoss', 'OFALoss', 'PLDLoss'])


@needing_labels
def test_a_loss_that_needs_labels_says_so_where_there_are_none(name):
    with pytest.raises(ValueError, match=f'{name} needs one label a sample'):
        MODELS.build(dict(type=name))(*pair(2, 5))


@needing_labels
def test_of_soft_labels_the_class_with_the_largest_share_is_taken(name):
    loss, (student, teacher) = MODELS.build(dict(type=name)), pair(2, 3)
    soft = torch.tensor([[0.3, 0.7, 0.], [0.1, 0., 0.9]])
    assert torch.equal(
        loss(student, teacher, target=soft),
        loss(student, teacher, target=torch.tensor([1, 2])))


@needing_labels
@pytest.mark.parametrize(
    'target',
    [torch.zeros(3, dtype=torch.long),
     torch.zeros(2),
     torch.zeros(2, 4)])
def test_labels_of_another_form_are_refused(name, target):
    with pytest.raises(ValueError, match=r'shape \(2,\) or soft .* \(2, 3\)'):
        MODELS.build(dict(type=name))(*pair(2, 3), target=target)


def test_a_loss_that_needs_none_takes_no_notice_of_labels():
    student, teacher = pair(2, 3)
    loss = MODELS.build(dict(type='KDLoss'))
    assert torch.equal(
        loss(student, teacher, target=torch.tensor([0, 1])),
        loss(student, teacher))
