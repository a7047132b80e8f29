# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A teacher that is shown the other images of a batch: a control."""
import pytest
import torch
from builders import batch, build, losses_of, outputs_of, teacher_of
from tiny_two_stage import faster_rcnn
from toys import retinanet

from mmw2s.distillation import Distiller
from mmw2s.distillation.permuted_batch import permuted
from mmw2s.distillation.schedules import Constant
from mmw2s.distillation.terms import build_terms

FEATURES = dict(
    knowledge=dict(type='FPNFeatures'), loss=dict(type='MSEKDLoss'))
SCORES = dict(
    knowledge=dict(type='DenseHeadOutputs'),
    loss=dict(type='QualityFocalKDLoss'))
ROIS = dict(
    knowledge=dict(type='RoIHeadOutputs'),
    loss=dict(type='KDLoss', temperature=1.))


def teachers(tmp_path, cfg):
    """The same teacher as it is, and permuted."""
    return [
        teacher_of(cfg, tmp_path / 'teacher.pth', permute=permute)
        for permute in (False, True)
    ]


def test_no_image_keeps_its_own():
    assert permuted(torch.arange(3)).tolist() == [2, 0, 1]
    assert permuted(['a', 'b', 'c']) == ['c', 'a', 'b']
    assert permuted((1, 2)) == [2, 1]


def test_what_is_of_no_image_stays_as_it_is():
    assert permuted(None) is None
    single = torch.tensor(3)
    assert permuted(single) is single


@pytest.mark.parametrize('values', [torch.zeros(1, 3), ['a']])
def test_a_batch_of_one_image_is_refused(values):
    with pytest.raises(ValueError, match='one image alone: use a larger'):
        permuted(values)


def test_the_outputs_are_those_of_the_other_image(tmp_path):
    (_, teacher), (inputs, samples) = teachers(tmp_path, retinanet()), batch(3)
    outputs = outputs_of(teacher, ['neck'], inputs=inputs, samples=samples)
    with torch.no_grad():
        right = teacher.model.extract_feat(inputs)
    for given, level in zip(outputs['neck'][0].output, right):
        torch.testing.assert_close(given, level[[2, 0, 1]])
        assert not torch.allclose(given, level, atol=1e-3)
    # Labels, which some losses need, are the student's.
    assert outputs.data_samples is samples


def test_sizes_travel_with_the_pixels(tmp_path):
    (_, teacher), (inputs, samples) = teachers(tmp_path, retinanet()), batch(3)
    for i, sample in enumerate(samples):
        sample.set_metainfo(dict(img_shape=(64, 40 + i)))
    given = []
    teacher.model.register_forward_pre_hook(
        lambda module, args, kwargs: given.append(args), with_kwargs=True)
    outputs_of(teacher, ['neck'], inputs=inputs, samples=samples)['neck']
    images, shown = given[0]
    assert torch.equal(images, inputs[[2, 0, 1]])
    assert [s.img_shape for s in shown] == [(64, 42), (64, 40), (64, 41)]
    assert [s.img_shape[1] for s in samples] == [40, 41, 42]


def distilled(student, teacher, entry, count=3):
    """The losses of a step, and how often the teacher was run for them."""
    calls = []
    handle = teacher.model.backbone.register_forward_hook(
        lambda *_: calls.append(1))
    distiller = Distiller(student, teacher, build_terms([entry]), Constant(1.))
    distiller.bind(10, 10)
    distiller.attach()
    distiller.step(0)
    torch.manual_seed(0)  # of the sampling of RoIs
    inputs, samples = batch(count)
    # Images that differ in more than their noise.
    inputs = inputs * torch.arange(1., 1 + count)[:, None, None, None]
    _, joined = losses_of(student.train(), inputs, samples)
    distiller.remove()
    handle.remove()
    return sum(joined.values()), len(calls)


@pytest.mark.parametrize('entry, cfg', [(FEATURES, retinanet()),
                                        (SCORES, retinanet()),
                                        (ROIS, faster_rcnn())])
def test_it_costs_one_forward_and_teaches_something_else(tmp_path, entry, cfg):
    gradients, counts = [], []
    for teacher in teachers(tmp_path, cfg):
        student = build(cfg, seed=3)
        loss, calls = distilled(student, teacher, entry)
        loss.backward()
        gradients.append(student.backbone.conv1.weight.grad)
        counts.append(calls)
    assert counts == [1, 1]
    assert gradients[1].abs().sum() > 0
    plain, other = gradients
    assert (plain - other).norm() > .01 * plain.norm()


def test_where_all_images_are_the_same_it_teaches_the_same(tmp_path):
    inputs, samples = batch(1)
    losses = []
    for teacher in teachers(tmp_path, retinanet()):
        student = build(retinanet(), seed=3)
        distiller = Distiller(student, teacher, build_terms([FEATURES]),
                              Constant(1.))
        distiller.bind(10, 10)
        distiller.attach()
        distiller.step(0)
        _, joined = losses_of(student.train(), inputs.repeat(2, 1, 1, 1),
                              samples * 2)
        losses.append(joined['loss_kd_fpn'])
    torch.testing.assert_close(*losses)


def test_it_is_another_teacher_on_resume(tmp_path):
    plain, other = teachers(tmp_path, retinanet())
    assert plain.fingerprint['weights_hash'] == \
        other.fingerprint['weights_hash']
    assert plain.fingerprint['config_hash'] != \
        other.fingerprint['config_hash']
