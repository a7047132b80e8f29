# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Grown vision transformers compute what the small ones do."""
import pytest
import torch
from grown import equal_copies, gap, grow, with_noise
from tiny_classifiers import batch, build, classifier, teacher_of

from mmw2s.distillation.starts import Grow
from mmw2s.distillation.starts.growth import CannotGrow, widths

# A SwiGLU takes two thirds of these channels, rounded up to a multiple of 8:
# 32 of 48, and 16 of the teacher's 16.
WIDE = dict(embed_dims=32, num_heads=4, feedforward_channels=48)


def config(arch=dict(), head=dict(), **fields):
    arch = dict(
        dict(
            embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=16),
        **arch)
    backbone = dict(
        dict(type='VisionTransformer', img_size=16, patch_size=4, arch=arch),
        **fields)
    head = dict(
        dict(type='VisionTransformerClsHead', in_channels=arch['embed_dims']),
        **head)
    return classifier(backbone=backbone, neck=None, **head)


def model(*args, **fields):
    return build(config(*args, **fields))


def scores(model):
    return model.head(model.extract_feat(batch()[0]))


def pair(arch, fields=dict(), head=dict()):
    return model(arch, head, **fields), with_noise(model({}, head, **fields))


@pytest.mark.parametrize('fields, head', [
    ({}, {}),
    ({}, dict(hidden_dim=8)),
    (dict(out_type='avg_featmap', with_cls_token=False), {}),
    (dict(layer_scale_init_value=0.1), {}),
    (dict(pre_norm=True, qkv_bias=False), {}),
    (dict(final_norm=False), {}),
    (dict(layer_cfgs=dict(ffn_type='swiglu_fused')), {}),
    (dict(type='DistilledVisionTransformer'), dict(type='DeiTClsHead')),
    (dict(type='DeiT3'), {}),
])
@pytest.mark.parametrize('arch', [
    WIDE,
    dict(num_layers=5),
    dict(WIDE, num_layers=3),
])
def test_it_computes_what_the_teacher_computes(arch, fields, head):
    student, teacher = pair(arch, fields, head)
    assert gap(scores(student), scores(teacher)) > 0.1
    grow(student, teacher)
    for is_training in (True, False):
        student.train(is_training), teacher.train(is_training)
        assert gap(scores(student), scores(teacher)) < 1e-5


@pytest.mark.parametrize('arch', [
    dict(embed_dims=48, num_heads=6),
    dict(embed_dims=32, num_heads=2),
    dict(embed_dims=64, num_heads=4),
    dict(feedforward_channels=48),
])
def test_heads_become_more_or_wider(arch):
    student, teacher = pair(arch)
    assert gap(scores(grow(student, teacher)), scores(teacher)) < 1e-5


def test_the_start_agrees_that_the_two_are_equal(tmp_path):
    student, fresh = (model(dict(WIDE, num_layers=3)) for _ in range(2))
    teacher = teacher_of(config(), tmp_path / 'teacher.pth')
    Grow().apply(student, teacher, None)
    assert gap(scores(student), scores(teacher.model)) < 1e-5
    added = 'backbone.layers.1.attn.qkv.weight'  # of a new layer
    assert torch.equal(student.state_dict()[added], fresh.state_dict()[added])


def test_other_classes_are_refused(tmp_path):
    teacher = teacher_of(config(), tmp_path / 'teacher.pth')
    student = model(WIDE, head=dict(num_classes=6))
    with pytest.raises(ValueError, match='it has 6 classes.* 3'):
        Grow().apply(student, teacher, None)


def test_new_layers_stand_between_the_others():
    student, teacher = pair(dict(num_layers=4))
    grow(student, teacher)
    for ours, theirs in ((0, 0), (2, 1)):
        assert torch.equal(student.backbone.layers[ours].ln1.weight,
                           teacher.backbone.layers[theirs].ln1.weight)


def gradients(student):
    scores(student).square().sum().backward()
    return equal_copies(student)


def test_copies_learn_different_things(monkeypatch):
    student, teacher = pair(WIDE)
    assert gradients(grow(student, teacher)) == []
    # Two copies of each of two heads, of 8 queries, keys and values each.
    qkv = student.backbone.layers[0].attn.qkv.weight.grad
    one, other = qkv.unflatten(0, (3, 2, 2, 8)).unbind(2)
    assert gap(one, other) > 0.01
    # Without noise they would not.
    monkeypatch.setattr(widths, 'NOISE', 0)
    student, teacher = pair(WIDE)
    assert 'backbone.patch_embed.projection.weight' in gradients(
        grow(student, teacher))


def test_new_layers_learn_at_once():
    student, teacher = pair(dict(num_layers=4))
    scores(grow(student, teacher)).square().sum().backward()
    layer = student.backbone.layers[1]
    for end in (layer.attn.proj, layer.ffn.layers[1]):
        assert end.weight.abs().max() == 0 < end.weight.grad.abs().max()


@pytest.mark.parametrize('arch, fields, message', [
    (dict(embed_dims=24), {},
     r'backbone: the student has 24 channels \(embed_dims\), the teacher 16'),
    (dict(feedforward_channels=24), {}, 'layers.0.ffn.*24.*16'),
    (dict(embed_dims=48,
          num_heads=3), {}, 'layers.0.attn: the student has 3 heads'),
    (dict(num_layers=1), {}, 'the student has 1 blocks, the teacher 2'),
    ({}, dict(patch_size=8), '2 x 2 patches of 8 x 8.*4 x 4 patches of 4 x 4'),
    ({}, dict(img_size=32), '8 x 8 patches of 4 x 4.*img_size'),
    ({}, dict(out_type='avg_featmap'), 'out_type is avg_featmap'),
    (dict(num_layers=3), dict(out_indices=[1, 2]), 'out_indices'),
    ({}, dict(type='DistilledVisionTransformer'),
     'has a DistilledVisionTransformer here, the teacher a VisionTransformer'),
    ({}, dict(layer_scale_init_value=0.1), 'gamma'),
])
def test_what_it_cannot_grow_is_refused(arch, fields, message):
    with pytest.raises(CannotGrow, match=message):
        grow(model(arch, **fields), model())


def test_attention_of_another_kind_is_refused():
    eva = dict(type='ViTEVA02', sub_ln=False)
    student, teacher = (model(dict(num_layers=n), **eva) for n in (3, 2))
    with pytest.raises(CannotGrow, match='layers.0.attn: only a MultiheadA'):
        grow(student, teacher)
