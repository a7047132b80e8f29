# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import functools

import pytest
from mmdet.models.backbones import ResNet
from mmengine.config import Config
from mmengine.model import BaseModel, PretrainedInit
from mmengine.registry import MODELS
from tiny_classifiers import VIT, classifier
from tiny_two_stage import faster_rcnn, mask_rcnn
from torch import nn
from toys import retinanet

from mmw2s.distillation.starts.layers import is_pretrained
from mmw2s.distillation.teacher_config import build_model
from mmw2s.models import ShallowResNet
from mmw2s.pair.derive import derive_model
from mmw2s.pair.starting import choose_start
from mmw2s.utils.read_config import read_packaged_config


def detector(backbone=None, in_channels=None, **overrides):
    cfg = Config(dict(default_scope='mmdet', model=retinanet(50)))
    if backbone is not None:
        cfg.model.backbone = backbone
        cfg.model.neck.in_channels = in_channels
    cfg.merge_from_dict(overrides)
    return cfg


def of_mmpretrain(**fields):
    return Config(dict(default_scope='mmpretrain', model=classifier(**fields)))


SWIN = dict(
    type='SwinTransformer',
    embed_dims=12,
    depths=(2, 2, 2, 2),
    num_heads=(3, 6, 12, 24))
STUDENTS = dict(
    resnet50=detector(),
    resnet101=detector(**{'model.backbone.depth': 101}),
    resnet34=detector(**{
        'model.backbone.depth': 34,
        'model.neck.in_channels': [8, 16, 32, 64]
    }),
    swin=detector(SWIN, [12, 24, 48, 96]),
    resnet_cifar=of_mmpretrain(width=8),
    resnet50_of_mmpretrain=of_mmpretrain(
        width=32,
        backbone=dict(
            type='ResNet', depth=50, base_channels=8, stem_channels=8)),
    vit=of_mmpretrain(
        backbone=VIT,
        neck=None,
        type='VisionTransformerClsHead',
        in_channels=16),
    swin_of_mmpretrain=of_mmpretrain(
        backbone=dict(
            type='SwinTransformer',
            arch=dict(
                embed_dims=12, depths=[2, 2, 2, 2], num_heads=[3, 6, 12, 24]),
            img_size=64,
            window_size=2),
        in_channels=96))


@pytest.mark.parametrize(
    'name',
    [
        'sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco',
        'queryinst/queryinst_r50_fpn_1x_coco',
        # Its parameters are cut into views.
        'deformable_detr/deformable-detr_r50_16xb2-50e_coco',
        # Its deformable convolutions want three places in each map.
        'ddod/ddod_r50_fpn_1x_coco',
    ])
def test_detectors_that_ask_for_more_than_an_image_have_a_teacher(name):
    # Their heads read boxes of the data sample, and proposals that only
    # init_weights has made boxes.
    derived = derive_model(read_packaged_config(f'mmdet::{name}.py'))
    assert derived.cfg.model.backbone.depth == 18
    assert derived.size.multiply_adds < derived.of_student.multiply_adds


@pytest.mark.parametrize('name', STUDENTS)
def test_a_smaller_model_of_the_family_is_derived_and_trains(name):
    cfg = STUDENTS[name]
    before = cfg.to_dict()
    made = derive_model(cfg)
    assert cfg.to_dict() == before
    student, teacher = build_model(cfg), build_model(made.cfg)
    count, of_student = (
        sum(p.numel() for p in model.parameters())
        for model in (teacher, student))
    assert (count, of_student) == (made.size.parameters,
                                   made.of_student.parameters)
    assert count < of_student
    assert 0 < made.size.multiply_adds < made.of_student.multiply_adds
    assert type(teacher.backbone) is type(student.backbone)


SHALLOW = dict(
    type='ShallowResNet',
    blocks=[1] * 4,
    kind='ResNet',
    base_channels=4,
    stem_channels=4)


def test_a_resnet_gets_one_block_a_stage_half_the_width_and_keeps_its_heads():
    made = derive_model(STUDENTS['resnet50'])
    cfg, own = made.cfg.model, STUDENTS['resnet50'].model
    assert cfg.backbone == dict(own.backbone, **SHALLOW)
    assert cfg.neck == dict(own.neck, in_channels=[16, 32, 64, 128])
    assert cfg.bbox_head == own.bbox_head


@pytest.mark.parametrize(
    'name', [name for name in STUDENTS if name.startswith('resnet')])
def test_a_student_can_grow_out_of_its_derived_resnet(name):
    cfg = STUDENTS[name]
    start, said = choose_start('auto', cfg, derive_model(cfg).cfg)
    assert start == dict(type='Grow') and 'The student starts by Grow' in said


def test_a_relative_of_resnet_stays_what_it_is():
    backbone = derive_model(STUDENTS['resnet_cifar']).cfg.model.backbone
    assert (backbone.type, backbone.kind) == ('ShallowResNet', 'ResNet_CIFAR')


@pytest.mark.parametrize('kind', ['mmdet.ResNet', ResNet])
def test_a_backbone_may_be_named_with_its_scope_or_by_its_class(kind):
    cfg = detector()
    cfg.model.backbone.type = kind
    made = derive_model(cfg).cfg
    assert made.model.backbone.kind == 'mmdet.ResNet'
    assert type(build_model(made).backbone) is ResNet


@pytest.mark.parametrize(
    'kind', ['ShallowResNet', 'mmengine.ShallowResNet', ShallowResNet])
def test_a_shallow_student_gets_half_the_width(kind):
    cfg = detector()
    cfg.model.backbone.update(type=kind, blocks=(1, 1, 2, 1))
    backbone = derive_model(cfg).cfg.model.backbone
    assert backbone == dict(
        STUDENTS['resnet50'].model.backbone, **{
            k: v
            for k, v in SHALLOW.items() if k != 'kind'
        })


def test_a_width_that_is_asked_for_is_given():
    backbone = derive_model(STUDENTS['resnet50'], .25).cfg.model.backbone
    assert (backbone.base_channels, backbone.stem_channels) == (2, 2)
    backbone = derive_model(pretrained('torchvision://resnet50'),
                            .5).cfg.model.backbone
    assert (backbone.depth, backbone.base_channels) == (18, 4)


def two_stages(make):
    return Config(dict(default_scope='mmdet', model=make(50)))


# The student's parts that read its backbone or each other, and what becomes
# of their channels.
HALVED = dict(
    retinanet=(detector, {
        'neck.in_channels': [16, 32, 64, 128],
        'neck.out_channels': 8,
        'bbox_head.in_channels': 8,
        'bbox_head.feat_channels': 8
    }),
    faster_rcnn=(lambda: two_stages(faster_rcnn), {
        'neck.out_channels': 4,
        'rpn_head.feat_channels': 4,
        'roi_head.bbox_roi_extractor.out_channels': 4,
        'roi_head.bbox_head.in_channels': 4,
        'roi_head.bbox_head.fc_out_channels': 8
    }),
    mask_rcnn=(lambda: two_stages(mask_rcnn), {
        'neck.out_channels': 4,
        'roi_head.mask_head.in_channels': 4
    }))


@pytest.mark.parametrize('name', HALVED)
def test_neck_and_heads_become_narrower_where_the_student_grows(name):
    make, wanted = HALVED[name]
    cfg = make()
    made, whole = derive_model(cfg, narrow_heads=True), derive_model(cfg)
    model = made.cfg.model
    assert {
        path: functools.reduce(getattr, path.split('.'), model)
        for path in wanted
    } == wanted
    assert made.size.multiply_adds < whole.size.multiply_adds
    assert 'neck and heads have 0.5' in made.notes[-1]
    start, _ = choose_start('auto', cfg, made.cfg)
    assert start == dict(type='Grow')


@pytest.mark.parametrize('name', STUDENTS)
def test_a_student_that_cannot_grow_keeps_neck_and_heads(name):
    cfg = STUDENTS[name]
    made = derive_model(cfg, narrow_heads=True)
    start, _ = choose_start('auto', cfg, made.cfg)
    if start != dict(type='Grow'):
        assert made.cfg.model == derive_model(cfg).cfg.model


@pytest.mark.parametrize(
    'groups, is_narrower',
    [
        (16, False),  # 16 groups of 8 channels cannot be built
        (8, False),  # groups of one channel normalize each alone
        (4, True),
    ])
def test_groups_of_a_norm_keep_two_channels(groups, is_narrower):
    norm = dict(type='GN', num_groups=groups)
    cfg = detector(**{'model.neck.norm_cfg': norm})
    made = derive_model(cfg, narrow_heads=True)
    assert (made.cfg.model.neck.out_channels == 8) == is_narrower
    said, = made.notes
    assert ('could not grow out' in said) != is_narrower
    if not is_narrower:
        assert made.cfg.model == derive_model(cfg).cfg.model


def test_a_teacher_of_a_pretrained_student_keeps_its_heads():
    # Half as wide, of the same blocks: a student could grow out of it.
    cfg = pretrained('torchvision://resnet18', depth=18)
    cfg.model.neck.in_channels = [8, 16, 32, 64]
    made = derive_model(cfg, narrow_heads=True)
    assert made.cfg.model.backbone.base_channels == 4
    assert made.cfg.model.bbox_head == cfg.model.bbox_head
    del cfg.model.backbone.init_cfg
    made = derive_model(cfg, narrow_heads=True)
    assert made.cfg.model.bbox_head != cfg.model.bbox_head


def test_a_two_stage_detector_keeps_its_heads():
    cfg = two_stages(faster_rcnn)
    made = derive_model(cfg)
    assert made.cfg.model.roi_head == cfg.model.roi_head
    assert made.size.multiply_adds < made.of_student.multiply_adds


def test_at_the_same_width_nothing_is_narrower():
    assert not derive_model(STUDENTS['resnet50'], 1., True).notes


def test_the_first_neck_may_read_nothing():
    cfg = of_mmpretrain(width=8)
    cfg.model.neck = [
        cfg.model.neck,
        dict(type='LinearNeck', in_channels=64, out_channels=16)
    ]
    cfg.model.head.in_channels = 16
    for narrow_heads, channels in ((False, 16), (True, 8)):
        model = derive_model(cfg, narrow_heads=narrow_heads).cfg.model
        assert model.neck[1].in_channels == 32
        assert model.neck[1].out_channels == channels
        assert model.head.in_channels == channels


def test_a_part_of_a_neck_that_reads_another_part_stays_as_it_is():
    cfg = detector()
    norms = dict(
        type='ChannelMapper',
        in_channels=[16] * 3,
        out_channels=16,
        num_outs=3)
    cfg.model.neck = [cfg.model.neck, norms]
    first, second = derive_model(cfg).cfg.model.neck
    assert first.in_channels == [16, 32, 64, 128]
    assert second.to_dict() == norms


def test_a_unet_gets_half_the_width():
    from tiny_diffusion import diffusion
    cfg = Config(dict(model=diffusion(16, classes=3)))
    made = derive_model(cfg)
    assert tuple(made.cfg.model.denoiser.block_out_channels) == (8, 8)
    assert made.size.parameters < made.of_student.parameters
    with pytest.raises(
            ValueError,
            match='norm_num_groups=4 does not divide: '
            'give another --teacher-width, or give a teacher'):
        derive_model(Config(dict(model=diffusion(12))))


def test_an_unknown_family_is_refused_with_what_to_do():
    cfg = of_mmpretrain(backbone=dict(type='MobileNetV2'), in_channels=1280)
    with pytest.raises(
            ValueError,
            match='from a ImageClassifier with a MobileNetV2 .*ResNet.*'
            '--teacher CONFIG'):
        derive_model(cfg)


def test_a_width_of_no_whole_number_is_refused():
    with pytest.raises(ValueError, match='8 times 0.3 is no whole number'):
        derive_model(STUDENTS['resnet50'], .3)


def test_a_teacher_that_is_not_smaller_is_refused():
    cfg = STUDENTS['vit']
    with pytest.raises(ValueError, match='smaller --teacher-width'):
        derive_model(cfg, 1.)


def test_a_neck_that_does_not_read_the_backbone_is_refused():
    cfg = detector(**{'model.neck.in_channels': [1, 2, 3, 4]})
    with pytest.raises(
            ValueError,
            match=r'neck.in_channels is \[1, 2, 3, 4\]'
            r', but the student\'s backbone gives \[32,'):
        derive_model(cfg)


def pretrained(checkpoint, **fields):
    cfg = detector()
    cfg.model.backbone.update(
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint), **fields)
    return cfg


def test_pretrained_weights_of_torchvision_are_those_of_the_smaller_resnet():
    made = derive_model(pretrained('torchvision://resnet50', frozen_stages=1))
    backbone = made.cfg.model.backbone
    assert backbone.init_cfg.checkpoint == 'torchvision://resnet18'
    assert backbone.frozen_stages == 1 and not made.notes


def beginning_with(fields):
    cfg = detector()
    for name, value in fields.items():
        *owner, key = name.split('.')
        functools.reduce(getattr, owner, cfg)[key] = value
    return cfg


LAZY = dict(type=PretrainedInit, checkpoint='torchvision://resnet50')


@pytest.mark.parametrize('fields', [
    {
        'model.backbone.pretrained': 'torchvision://resnet50'
    },
    {
        'model.backbone.init_cfg': LAZY
    },
    {
        'model.backbone.init_cfg': dict(LAZY, type='PretrainedInit')
    },
    {
        'model.backbone.init_cfg':
        dict(LAZY, type='mmengine.model.weight_init.PretrainedInit')
    },
])
def test_pretrained_weights_are_found_however_they_are_written(fields):
    made = derive_model(beginning_with(fields)).cfg.model.backbone
    assert (made.depth, made.base_channels) == (18, 8)
    where, = fields
    weights = made[where.rsplit('.', 1)[-1]]
    weights = weights if isinstance(weights, str) else weights['checkpoint']
    assert weights == 'torchvision://resnet18'


@pytest.mark.parametrize('fields', [
    {
        'model.backbone.init_cfg':
        dict(type='Pretrained', checkpoint='somewhere/resnet50.pth')
    },
    {
        'model.backbone.init_cfg':
        [dict(type='Pretrained', checkpoint='torchvision://resnet50')]
    },
    {
        'model.init_cfg':
        dict(type='Pretrained', checkpoint='somewhere/detector.pth')
    },
    {
        'load_from': 'somewhere/detector.pth'
    },
])
def test_weights_that_do_not_fit_are_left_and_nothing_stays_frozen(fields):
    cfg = beginning_with(fields)
    cfg.model.backbone.update(
        frozen_stages=1,
        norm_eval=True,
        norm_cfg=dict(type='BN', requires_grad=False))
    made = derive_model(cfg)
    assert 'from scratch' in made.notes[0]
    assert not made.cfg.load_from
    backbone = made.cfg.model.backbone
    assert (backbone.depth, backbone.frozen_stages) == (18, -1)
    model = build_model(made.cfg).train()
    assert not is_pretrained(model) and not is_pretrained(model.backbone)
    assert all(p.requires_grad for p in model.parameters())
    assert model.backbone.bn1.training


def test_basic_blocks_have_no_deformable_convolutions():
    cfg = pretrained('torchvision://resnet50')
    cfg.model.backbone.update(
        dcn=dict(type='DCN', deform_groups=1, fallback_on_stride=False),
        stage_with_dcn=(False, True, True, True),
        plugins=[
            dict(
                cfg=dict(type='ContextBlock', ratio=.25),
                stages=(False, True, True, True),
                position='after_conv3')
        ])
    backbone = derive_model(cfg).cfg.model.backbone
    assert (backbone.depth, backbone.init_cfg.checkpoint) == \
        (18, 'torchvision://resnet18')


def test_a_derived_teacher_can_be_trained_by_other_tools():
    assert 'mmw2s' in derive_model(detector()).cfg.custom_imports.imports


class Segmentor(BaseModel):
    """Its auxiliary head reads a level that is not the last, as mmseg's."""

    def __init__(self, backbone, decode_head, auxiliary_head, **kwargs):
        super().__init__(**kwargs)
        self.backbone = MODELS.build(backbone)
        self.heads = nn.ModuleList(
            nn.Conv2d(head['in_channels'], 2, 1)
            for head in (auxiliary_head, decode_head))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        maps = self.backbone(inputs)[-2:]
        return [head(one) for head, one in zip(self.heads, maps)]


def test_a_head_may_read_a_level_that_is_not_the_last():
    cfg = Config(
        dict(
            default_scope='mmdet',
            model=dict(
                type=Segmentor,
                backbone=detector().model.backbone,
                decode_head=dict(in_channels=256),
                auxiliary_head=dict(in_channels=128))))
    model = derive_model(cfg).cfg.model
    assert (model.decode_head.in_channels,
            model.auxiliary_head.in_channels) == (128, 64)
