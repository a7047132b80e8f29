# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Runs with rotated detectors of the real package, where it is installed."""
import cv2
import numpy as np
import pytest
from builders import build, teacher_field
from mmengine.config import Config, ConfigDict
from runs import find, rows, train, train_watched

from mmw2s import WeakTeacherDistillHook
from mmw2s.distillation.recipes import default_distill
from mmw2s.pair.derive import derive_model

pytest.importorskip('mmrotate.models')

CLASSES = ('ship', 'plane')
ANGLE = 'le90'
FOCAL = dict(type='mmdet.FocalLoss', use_sigmoid=True)
DISTANCES = dict(type='DistanceAnglePointCoder', angle_version=ANGLE)
HEAD = dict(
    num_classes=2,
    in_channels=16,
    feat_channels=16,
    stacked_convs=1,
    loss_cls=FOCAL)


def boxes(proj_xy=True):
    return dict(
        type='DeltaXYWHTRBBoxCoder',
        angle_version=ANGLE,
        norm_factor=None,
        edge_swap=True,
        proj_xy=proj_xy,
        target_means=[0.] * 5,
        target_stds=[1.] * 5)


def assigner(iou='RBboxOverlaps2D', **fields):
    return dict(
        type='mmdet.MaxIoUAssigner',
        pos_iou_thr=0.5,
        neg_iou_thr=0.4,
        min_pos_iou=0.,
        ignore_iof_thr=-1,
        iou_calculator=dict(type=iou),
        **fields)


def detector(kind, depth, head, **fields):
    wide = 4 if depth >= 50 else 1
    # FasterRCNN reads its fields as attributes.
    return ConfigDict(
        type=f'mmdet.{kind}',
        data_preprocessor=dict(
            type='mmdet.DetDataPreprocessor',
            mean=[100.] * 3,
            std=[50.] * 3,
            bgr_to_rgb=True,
            pad_size_divisor=32,
            boxtype2tensor=False),
        backbone=dict(
            type='mmdet.ResNet',
            depth=depth,
            base_channels=4,
            stem_channels=4,
            norm_cfg=dict(type='BN')),
        neck=dict(
            type='mmdet.FPN',
            in_channels=[4 * wide * 2**i for i in range(4)],
            out_channels=16,
            start_level=1,
            num_outs=3),
        **head,
        **fields)


def retinanet(depth):
    anchors = dict(
        type='FakeRotatedAnchorGenerator',
        angle_version=ANGLE,
        octave_base_scale=4,
        scales_per_octave=1,
        ratios=[1., .5, 2.],
        strides=[8, 16, 32])
    head = dict(
        HEAD,
        type='RotatedRetinaHead',
        anchor_generator=anchors,
        bbox_coder=boxes(),
        loss_bbox=dict(type='mmdet.L1Loss'))
    return detector(
        'RetinaNet',
        depth,
        dict(bbox_head=head),
        train_cfg=dict(
            assigner=assigner(),
            sampler=dict(type='mmdet.PseudoSampler'),
            allowed_border=-1,
            pos_weight=-1,
            debug=False),
        test_cfg=NMS)


def fcos(depth):
    head = dict(
        HEAD,
        type='RotatedFCOSHead',
        strides=[8, 16, 32],
        regress_ranges=((-1, 32), (32, 64), (64, 10**8)),
        center_sampling=True,
        norm_on_bbox=True,
        centerness_on_reg=True,
        use_hbbox_loss=True,  # the other one has no operator on a CPU
        scale_angle=True,
        bbox_coder=DISTANCES,
        angle_coder=dict(type='PseudoAngleCoder'),
        norm_cfg=dict(type='GN', num_groups=4),
        loss_bbox=dict(type='mmdet.IoULoss'),
        loss_angle=dict(type='mmdet.L1Loss'),
        loss_centerness=dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True))
    return detector(
        'FCOS', depth, dict(bbox_head=head), train_cfg=None, test_cfg=NMS)


def oriented_rcnn(depth):
    rpn = dict(
        type='OrientedRPNHead',
        in_channels=16,
        feat_channels=16,
        anchor_generator=dict(
            type='mmdet.AnchorGenerator',
            scales=[4],
            ratios=[.5, 1., 2.],
            strides=[8, 16, 32],
            use_box_type=True),
        bbox_coder=dict(
            type='MidpointOffsetCoder',
            angle_version=ANGLE,
            target_means=[0.] * 6,
            target_stds=[1., 1., 1., 1., .5, .5]),
        loss_cls=dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True),
        loss_bbox=dict(type='mmdet.SmoothL1Loss'))
    roi = dict(
        type='mmdet.StandardRoIHead',
        bbox_roi_extractor=dict(
            type='RotatedSingleRoIExtractor',
            roi_layer=dict(
                type='RoIAlignRotated',
                out_size=7,
                sample_num=2,
                clockwise=True),
            out_channels=16,
            featmap_strides=[8, 16, 32]),
        bbox_head=dict(
            type='mmdet.Shared2FCBBoxHead',
            predict_box_type='rbox',
            in_channels=16,
            fc_out_channels=16,
            roi_feat_size=7,
            num_classes=2,
            reg_predictor_cfg=dict(type='mmdet.Linear'),
            cls_predictor_cfg=dict(type='mmdet.Linear'),
            bbox_coder=boxes(),
            reg_class_agnostic=True,
            loss_cls=dict(type='mmdet.CrossEntropyLoss'),
            loss_bbox=dict(type='mmdet.SmoothL1Loss')))
    proposals = dict(
        nms_pre=50,
        max_per_img=20,
        nms=dict(type='nms', iou_threshold=.8),
        min_bbox_size=0)
    sampled = dict(num=16, pos_fraction=.5, neg_pos_ub=-1)
    first = dict(
        assigner=assigner('RBbox2HBboxOverlaps2D', match_low_quality=True),
        sampler=dict(
            type='mmdet.RandomSampler', add_gt_as_proposals=False, **sampled),
        allowed_border=0,
        pos_weight=-1,
        debug=False)
    second = dict(
        assigner=assigner(),
        sampler=dict(
            type='mmdet.RandomSampler', add_gt_as_proposals=True, **sampled),
        pos_weight=-1,
        debug=False)
    return detector(
        'FasterRCNN',
        depth,
        dict(rpn_head=rpn, roi_head=roi),
        train_cfg=dict(rpn=first, rpn_proposal=proposals, rcnn=second),
        test_cfg=dict(rpn=proposals, rcnn=NMS))


NMS = dict(
    nms_pre=100,
    min_bbox_size=0,
    score_thr=.05,
    nms=dict(type='nms_rotated', iou_threshold=.1),
    max_per_img=20)
# Detector -> what distill='full' stands for.
USUAL = dict(
    retinanet=(retinanet, ['FPNFeatures', 'DenseHeadOutputs']),
    fcos=(fcos, ['FPNFeatures', 'DenseHeadOutputs']),
    oriented_rcnn=(oriented_rcnn,
                   ['FPNFeatures', 'RPNOutputs', 'RoIHeadOutputs']))


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """Four images of 64 x 64 with two turned boxes, as DOTA has them."""
    root = tmp_path_factory.mktemp('images')
    random = np.random.default_rng(0)
    for folder in ('img', 'ann'):
        (root / folder).mkdir()
    for i in range(4):
        image = random.integers(0, 60, (64, 64, 3)).astype(np.uint8)
        lines = []
        for name, center in zip(CLASSES, random.uniform(20, 44, (2, 2))):
            corners = cv2.boxPoints(
                (tuple(center), (24, 12), random.uniform(0, 90)))
            cv2.fillPoly(image, [corners.astype(int)], (200, 90, 90))
            lines.append(' '.join(f'{x:.1f}'
                                  for x in corners.ravel()) + f' {name} 0')
        cv2.imwrite(str(root / 'img' / f'P{i}.png'), image)
        (root / 'ann' / f'P{i}.txt').write_text('\n'.join(lines) + '\n')
    return root


def run(images, work_dir, student, teacher, **hook):
    """A run of two epochs of two iterations, without validation."""
    hook = {'distill': 'full', **hook}
    loader = dict(
        batch_size=2,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='DOTADataset',
            metainfo=dict(classes=CLASSES),
            data_root=str(images),
            ann_file='ann/',
            data_prefix=dict(img_path='img/'),
            pipeline=[
                dict(type='mmdet.LoadImageFromFile'),
                dict(
                    type='mmdet.LoadAnnotations',
                    with_bbox=True,
                    box_type='qbox'),
                dict(
                    type='ConvertBoxType',
                    box_type_mapping=dict(gt_bboxes='rbox')),
                dict(
                    type='mmdet.PackDetInputs',
                    meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape'))
            ]))
    return Config(
        dict(
            default_scope='mmrotate',
            model=student,
            train_dataloader=loader,
            train_cfg=dict(by_epoch=True, max_epochs=2),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            randomness=dict(seed=0),
            work_dir=str(work_dir),
            custom_hooks=[
                dict(
                    type='WeakTeacherDistillHook',
                    teacher=teacher_field(
                        teacher,
                        work_dir.parent / 'teacher.pth',
                        scope='mmrotate',
                        dataset_meta=dict(classes=CLASSES)),
                    stop=dict(type='At', iter=3),
                    schedule=dict(type='Constant', value=1.),
                    **hook)
            ]))


def kd_losses(runner, outputs):
    return {k: v.item() for k, v in outputs.items() if 'kd' in k}


@pytest.mark.parametrize('name', USUAL)
def test_all_that_is_known_is_distilled(images, tmp_path, name):
    make, expected = USUAL[name]
    cfg = run(images, tmp_path / 'run', make(50), make(18))
    chosen = default_distill(
        *(build(make(depth), scope='mmrotate') for depth in (50, 18)),
        full=True)
    assert [entry['knowledge']['type'] for entry in chosen] == expected
    runner, seen = train_watched(cfg, kd_losses)
    assert all(
        len(found) == len(expected) and all(value > 0
                                            for value in found.values())
        for found in seen[:3])
    assert seen[3] == {}
    assert find(runner, WeakTeacherDistillHook).distiller is None
    assert rows(tmp_path / 'run', 'stop')[0]['iter'] == 3


@pytest.mark.parametrize('name', USUAL)
def test_equal_models_have_nothing_to_learn(images, tmp_path, name):
    make, _ = USUAL[name]
    cfg = run(images, tmp_path / 'run', make(18), make(18))
    cfg.load_from = str(tmp_path / 'teacher.pth')
    cfg.optim_wrapper.optimizer.lr = 0.
    for part in (cfg.model, cfg.custom_hooks[0].teacher.config.model):
        part.backbone.norm_eval = True
    _, seen = train_watched(cfg, kd_losses)
    # Scores of equal models leave the entropy of neither.
    assert all(value < 1e-4 for value in seen[0].values()), seen[0]


def test_a_student_begins_with_the_head_of_its_teacher(images, tmp_path):
    cfg = run(
        images,
        tmp_path / 'run',
        retinanet(50),
        retinanet(18),
        start=dict(type='Inherit'))
    train(cfg)
    row, = rows(tmp_path / 'run', 'start')
    assert row['type'] == 'Inherit' and row['tensors'] > 8


def test_a_smaller_teacher_is_derived():
    derived = derive_model(
        Config(dict(default_scope='mmrotate', model=retinanet(50))))
    assert derived.cfg.model.backbone.depth == 18
