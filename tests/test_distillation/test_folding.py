# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy

import pytest
import torch
from builders import build, outputs_of, teacher_of
from mmcv.cnn import ConvModule
from mmengine.model import BaseModel
from tiny_classifiers import classifier
from tiny_two_stage import faster_rcnn
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from toys import retinanet

from mmw2s.distillation import FrozenTeacher, Recorder
from mmw2s.distillation.folding import fold_batch_norms

BN = dict(type='BN')


def norms_of(model):
    return [m for m in model.modules() if isinstance(m, _BatchNorm)]


def lived(model):
    """A model whose norms have seen data."""
    generator = torch.Generator().manual_seed(3)
    for norm in norms_of(model):
        if not norm.track_running_stats:
            continue
        shape = norm.running_mean.shape
        norm.running_mean.copy_(torch.randn(shape, generator=generator) / 4)
        norm.running_var.copy_(torch.rand(shape, generator=generator) + 0.5)
        if norm.affine:
            norm.weight.data.copy_(torch.rand(shape, generator=generator) + .5)
            norm.bias.data.copy_(torch.randn(shape, generator=generator) / 4)
    return model


def changed(cfg, **parts):
    cfg = copy.deepcopy(cfg)
    for part, fields in parts.items():
        cfg[part].update(fields)
    return cfg


def frozen(model, scope='mmdet'):
    """A teacher of a model's config, or of a model itself."""
    if isinstance(model, dict):
        teacher = FrozenTeacher(
            dict(model=model, default_scope=scope), checkpoint=None)
    else:
        teacher = FrozenTeacher(dict(model=dict(type=lambda: model)), None)
    lived(teacher.model)
    return teacher


def gap(found, wanted):
    """The largest difference, as a share of the spread of what is wanted."""
    return max(((a - b).abs().max() / (b - b.mean()).abs().max()).item()
               for a, b in zip(found, wanted))


# -- models --------------------------------------------------------------

DETECTORS = {
    'basic blocks': retinanet(18),
    'bottlenecks':
    retinanet(50),
    'groups':
    changed(
        retinanet(50),
        backbone=dict(type='ResNeXt', groups=2, base_width=4)),
    'a neck with norms':
    changed(retinanet(18), neck=dict(norm_cfg=BN)),
    'synchronized norms':
    changed(retinanet(18), backbone=dict(norm_cfg=dict(type='SyncBN'))),
    'a head with norms, called level by level':
    changed(retinanet(18), bbox_head=dict(norm_cfg=BN)),
}


@pytest.mark.parametrize('which', DETECTORS)
def test_a_detector_gives_the_same_maps_and_scores_without_its_norms(which):
    teacher = frozen(DETECTORS[which])
    images = torch.randn(2, 3, 96, 96)

    def look():
        with torch.no_grad():
            maps = teacher.model.extract_feat(images)
            scores, boxes = teacher.model.bbox_head(maps)
        return [*maps, *scores, *boxes]

    before, norms = look(), len(norms_of(teacher.model))
    assert fold_batch_norms(teacher) == norms > 0
    assert norms_of(teacher.model) == []
    assert gap(look(), before) < 1e-4
    assert not any(p.requires_grad for p in teacher.model.parameters())


@pytest.mark.parametrize('backbone', [
    classifier()['backbone'],
    dict(type='MobileNetV2', widen_factor=0.25, out_indices=(7, )),
    dict(type='DenseNet', arch=dict(
        growth_rate=4, depths=[2, 2], init_channels=8)),
])
def test_a_classifier_gives_the_same_scores(backbone):
    pytest.importorskip('mmpretrain')
    channels = dict(MobileNetV2=1280, DenseNet=16).get(backbone['type'])
    cfg = changed(
        classifier(),
        head=dict(in_channels=channels) if channels else {})
    cfg['backbone'] = backbone
    teacher = frozen(cfg, 'mmpretrain')
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        before = teacher.model(images)
        assert fold_batch_norms(teacher) > 3
        assert gap([teacher.model(images)], [before]) < 1e-4


def test_a_two_stage_detector_scores_proposals_alike():
    teacher = frozen(changed(faster_rcnn(18), neck=dict(norm_cfg=BN)))
    model, images = teacher.model, torch.randn(1, 3, 64, 64)
    rois = torch.tensor([[0., 4., 4., 40., 50.]])

    def look():
        with torch.no_grad():
            maps = model.extract_feat(images)
            return list(model.roi_head._bbox_forward(maps, rois).values())[:2]

    before = look()
    assert fold_batch_norms(teacher) == len(DEPTH_18) + 8
    assert gap(look(), before) < 1e-4


def test_in_bfloat16_it_is_no_further_from_float32_than_with_its_norms():
    torch.manual_seed(0)  # of other weights one gap is up to 1.5 of the other
    teacher = frozen(retinanet(50))
    images = torch.randn(2, 3, 64, 64)

    def look(enabled=True):
        with torch.no_grad(), torch.autocast(
                'cpu', torch.bfloat16, enabled=enabled):
            return [x.float() for x in teacher.model.extract_feat(images)]

    exact, before = look(False), look()
    fold_batch_norms(teacher)
    assert gap(look(), exact) < 1.5 * gap(before, exact)


# -- where it would not be exact -----------------------------------------


class Model(BaseModel):
    """Layers in the order of a function, whatever that of their names is."""

    def __init__(self, call, **layers):
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.call = call

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.call(self, inputs)


def one_after_the_other(model, x):
    return model.norm(model.conv(x))


def layers(conv=None, **others):
    """A convolution, a norm of its channels, and others."""
    return dict(
        conv=conv or nn.Conv2d(3, 3, 1), norm=nn.BatchNorm2d(3), **others)


LEFT = {
    'a norm that is called first':
    (lambda m, x: m.conv(m.norm(x)), layers()),
    'a norm after an activation in place':
    (lambda m, x: m.norm(torch.relu_(m.conv(x))), layers()),
    'a convolution of two norms':
    (lambda m, x: m.norm(m.conv(x)) + m.other(m.conv(x)),
     layers(other=nn.BatchNorm2d(3, eps=0.1))),
    'a convolution that others read too':
    (lambda m, x: torch.cat([m.norm(y) + y for y in [m.conv(x)]]), layers()),
    'a norm whose attributes are read':
    (lambda m, x: m.norm(m.conv(x)) / m.norm.num_features, layers()),
    'a transposed convolution':
    (lambda m, x: m.norm(m.up(m.conv(x))),
     layers(up=nn.ConvTranspose2d(3, 3, 2))),
    'statistics of the batch':
    (lambda m, x: m.other(m.conv(x)),
     layers(other=nn.BatchNorm2d(3, track_running_stats=False))),
    'weights of a parametrization':
    (one_after_the_other,
     layers(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 3, 1)))),
    'a module of mmcv that calls the norm first':
    (lambda m, x: m.block(x),
     layers(
         block=ConvModule(3, 3, 1, norm_cfg=BN, order=('norm', 'conv',
                                                       'act')))),
}


@pytest.mark.parametrize('which', LEFT)
def test_what_would_not_be_exact_is_left(which, said):
    call, parts = LEFT[which]
    teacher = frozen(Model(call, **copy.deepcopy(parts)))
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        before = teacher.model(images)
        assert fold_batch_norms(teacher) == 0
        assert torch.equal(teacher.model(images), before)
    assert 'no BatchNorm is folded' in said[-1]
    assert not any(p.requires_grad for p in teacher.model.parameters())


def test_a_convolution_with_a_bias_and_a_norm_without_weights_are_folded():
    teacher = frozen(
        Model(
            one_after_the_other,
            conv=nn.Conv2d(3, 4, 3, bias=True),
            norm=nn.BatchNorm2d(4, affine=False)))
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        before = teacher.model(images)
        assert fold_batch_norms(teacher) == 1
        assert gap([teacher.model(images)], [before]) < 1e-5


def test_a_model_without_norms_is_left_which_is_said_once(said):
    teacher = frozen(Model(lambda m, x: m.conv(x), conv=nn.Conv2d(3, 4, 1)))
    before = copy.deepcopy(teacher.model.state_dict())
    said.clear()
    assert fold_batch_norms(teacher) == 0
    assert len(said) == 1 and 'because it has no BatchNorm' in said[0]
    assert all(
        torch.equal(value, before[key])
        for key, value in teacher.model.state_dict().items())


def test_a_model_that_takes_no_random_images_keeps_its_norms(said):

    def call(model, x):
        raise KeyError('depth_map')

    teacher = frozen(Model(call, **layers()))
    assert fold_batch_norms(teacher) == 0
    assert len(norms_of(teacher.model)) == 1 and 'depth_map' in said[-1]


# -- what reads the model ------------------------------------------------


@pytest.mark.parametrize('watched', ['bn1', 'conv1'])
def test_a_layer_that_a_knowledge_watches_is_left(watched, tmp_path):
    teacher = teacher_of(retinanet(18), tmp_path / 'a.pth')
    lived(teacher.model)
    name = f'backbone.layer2.0.{watched}'

    def look():
        return outputs_of(teacher, ['neck', name])[name][0].output

    before = look()
    recorder = Recorder(teacher.model, [name], 'teacher')
    assert fold_batch_norms(teacher) == len(DEPTH_18) - 1
    recorder.remove()
    assert gap([look()], [before]) < 1e-4


DEPTH_18 = norms_of(build(retinanet(18)))


def test_a_watched_part_whose_output_would_change_keeps_all_norms(said):
    teacher = frozen(
        Model(
            lambda m, x: m.norm(m.part(x)),
            part=nn.Sequential(nn.Conv2d(3, 4, 1)),
            norm=nn.BatchNorm2d(4)))
    weight = teacher.model.part[0].weight
    recorder = Recorder(teacher.model, ['part'], 'teacher')
    assert fold_batch_norms(teacher) == 0
    assert said[-1].endswith('because its outputs would change')
    assert teacher.model.part[0].weight is weight
    recorder.remove()
    assert fold_batch_norms(teacher) == 1


def test_its_fingerprint_is_that_of_the_weights_that_were_given(tmp_path):
    teacher, other = (
        teacher_of(retinanet(18), tmp_path / f'{i}.pth') for i in range(2))
    assert fold_batch_norms(teacher) == len(DEPTH_18)
    assert teacher.fingerprint == other.fingerprint


def test_the_random_numbers_of_the_run_go_on_as_without_it(tmp_path):
    teacher = teacher_of(retinanet(18), tmp_path / 'a.pth')
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    fold_batch_norms(teacher)
    assert torch.equal(torch.rand(3), wanted)
