# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import torch
from mmengine.config import Config
from tiny_two_stage import mask_rcnn

from mmw2s.distillation.teacher_config import build_model
from mmw2s.pair.derive.size import measure


def test_the_size_of_a_two_stage_detector_does_not_follow_from_its_weights():
    cfg = Config(dict(default_scope='mmdet', model=mask_rcnn(50)))
    found = set()
    for shift in (0., 100.):  # of all boxes, out of the image
        model = build_model(cfg)
        torch.nn.init.constant_(model.rpn_head.rpn_reg.bias, shift)
        found.add(measure(model, cfg=cfg)[0].multiply_adds)
    assert len(found) == 1
