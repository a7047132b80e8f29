# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Tiny two-stage detectors: mmdet's own base configs, shrunk."""
import copy

import numpy as np
import torch
from builders import batch, outputs_of
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData
from toys import retinanet

from mmw2s.distillation import Recorder


def _shrunk(base: str, depth: int, channels: int) -> ConfigDict:
    """A model of mmdet's base configs for images of 64 x 64."""
    model = Config.fromstring(f"_base_ = 'mmdet::_base_/models/{base}.py'",
                              '.py').model
    small = retinanet(depth, channels=channels)
    model['backbone'] = small['backbone']
    model['neck'].update(
        in_channels=small['neck']['in_channels'],
        out_channels=channels,
        num_outs=4)
    model['rpn_head'].update(in_channels=channels, feat_channels=channels)
    model['rpn_head']['anchor_generator'].update(
        scales=[4], strides=[4, 8, 16, 32])
    model['train_cfg']['rpn_proposal'].update(nms_pre=100, max_per_img=50)
    model['test_cfg']['rpn'].update(nms_pre=100, max_per_img=50)
    model['test_cfg']['rcnn'].update(score_thr=0., max_per_img=20)
    return model


def _shrink_roi_head(roi_head: dict, channels: int, num_classes: int,
                     **bbox_head) -> None:
    heads = roi_head['bbox_head']
    for head in heads if isinstance(heads, list) else [heads]:
        head.update(
            in_channels=channels,
            fc_out_channels=16,
            roi_feat_size=3,
            num_classes=num_classes,
            **bbox_head)
    roi_head['bbox_roi_extractor'].update(
        out_channels=channels, featmap_strides=[4, 8])
    roi_head['bbox_roi_extractor']['roi_layer'].update(
        output_size=3, sampling_ratio=2)


def faster_rcnn(depth: int = 18,
                num_classes: int = 2,
                channels: int = 8,
                sampled: int = 16,
                **bbox_head) -> ConfigDict:
    """A Faster R-CNN of four levels, the RoIs from the first two."""
    model = _shrunk('faster-rcnn_r50_fpn', depth, channels)
    _shrink_roi_head(model['roi_head'], channels, num_classes, **bbox_head)
    model['train_cfg']['rcnn']['sampler']['num'] = sampled
    return model


def cascade_rcnn(depth: int = 18,
                 num_classes: int = 2,
                 channels: int = 8) -> ConfigDict:
    """A Cascade R-CNN of three stages."""
    model = _shrunk('cascade-rcnn_r50_fpn', depth, channels)
    _shrink_roi_head(model['roi_head'], channels, num_classes)
    for stage in model['train_cfg']['rcnn']:
        stage['sampler']['num'] = 16
    return model


def mask_rcnn(depth: int = 18,
              num_classes: int = 2,
              channels: int = 8,
              **mask_head) -> ConfigDict:
    """A Mask R-CNN with masks of 4 x 4."""
    model = _shrunk('mask-rcnn_r50_fpn', depth, channels)
    _shrink_roi_head(model['roi_head'], channels, num_classes)
    extractor = copy.deepcopy(model['roi_head']['bbox_roi_extractor'])
    extractor['roi_layer']['output_size'] = 2
    model['roi_head']['mask_roi_extractor'] = extractor
    model['roi_head']['mask_head'].update(
        num_convs=1,
        in_channels=channels,
        conv_out_channels=channels,
        num_classes=num_classes,
        **mask_head)
    model['train_cfg']['rcnn'].update(mask_size=4)
    model['train_cfg']['rcnn']['sampler']['num'] = 16
    return model


def c4(num_classes: int = 2) -> ConfigDict:
    """A Faster R-CNN without a neck, its RoI head with a shared part."""
    model = faster_rcnn(18, num_classes, channels=64)
    del model['neck']
    model['backbone'].update(strides=(1, 2, 2, 1), out_indices=(3, ))
    model['rpn_head']['anchor_generator']['strides'] = [16]
    model['roi_head']['bbox_roi_extractor']['featmap_strides'] = [16]
    model['roi_head']['shared_head'] = dict(
        type='ResLayer', depth=18, stage=1, stride=1)
    model['roi_head']['bbox_head'].update(in_channels=128)
    return model


def picture_batch(count: int = 2, boxes: int = 3, seed: int = 0):
    """Normalized images of 64 x 64 with boxes of one size and masks."""
    inputs, samples = batch(count, seed=seed)
    corners = torch.tensor([[2., 2.], [20., 4.], [8., 26.]])[:boxes]
    for i, sample in enumerate(samples):
        sample.gt_instances = InstanceData(
            bboxes=torch.cat([corners + i, corners + i + 30], 1),
            labels=torch.arange(boxes) % 2,
            masks=BitmapMasks(
                np.ones((boxes, 64, 64), dtype=np.uint8), 64, 64))
    return inputs, samples


def pairs_in_training(knowledge, student, teacher, inputs=None, samples=None):
    """Pairs of a step, the student's calls, and the teacher's outputs."""
    if inputs is None:
        inputs, samples = picture_batch()
    knowledge.check(student, teacher.model)
    knowledge.bind(student, teacher.model)
    recorder = Recorder(student, knowledge.student_modules, 'student')
    recorder.open()
    student.train()(inputs, samples, mode='loss')
    recorded = recorder.close()
    recorder.remove()
    outputs = outputs_of(
        teacher,
        knowledge.teacher_modules,
        knowledge.calls_needed(recorded), (),
        inputs=inputs,
        samples=samples)
    return knowledge.pairs(recorded, outputs), recorded, outputs
