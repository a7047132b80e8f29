# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Detectors of MMYOLO, where it is installed and takes the other packages."""
import pytest
import torch
from builders import build, teacher_field
from mmengine.config import Config

from mmw2s.distillation import FrozenTeacher
from mmw2s.distillation.distiller import Distiller
from mmw2s.distillation.recipes import default_distill
from mmw2s.distillation.schedules import Constant
from mmw2s.distillation.terms import build_terms

try:
    import mmyolo.models  # noqa: F401
except (ImportError, AssertionError) as error:  # it asserts versions
    pytest.skip(f'could not import mmyolo: {error}', allow_module_level=True)

CONFIGS = dict(
    yolov5='yolov5/yolov5_n-v61_syncbn_fast_8xb16-300e_coco.py',
    yolov8='yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py',
    rtmdet='rtmdet/rtmdet_tiny_syncbn_fast_8xb32-300e_coco.py')


def model_of(name, deepen):
    cfg = Config.fromstring(f"_base_ = 'mmyolo::{CONFIGS[name]}'", '.py').model
    cfg.backbone.deepen_factor = cfg.neck.deepen_factor = deepen
    return cfg


def batch():
    """As MMYOLO's fast collate gives it: one tensor of all boxes."""
    boxes = [[0, 1, 10, 10, 60, 60], [1, 2, 20, 30, 90, 80]]
    return dict(
        inputs=255 * torch.rand(2, 3, 128, 128),
        data_samples=dict(
            bboxes_labels=torch.tensor(boxes, dtype=torch.float32),
            img_metas=[dict(batch_input_shape=(128, 128))] * 2))


@pytest.mark.parametrize('name', CONFIGS)
def test_its_detectors_learn_by_teacher_alone(name, tmp_path):
    student = build(model_of(name, 0.67), scope='mmyolo').train()
    teacher = FrozenTeacher.from_cfg(
        teacher_field(
            model_of(name, 0.33), tmp_path / 't.pth', scope='mmyolo'), None)
    distiller = Distiller(
        student, teacher,
        build_terms(default_distill(student, teacher.model, None)),
        Constant(1.))
    distiller.bind(10, 10)
    distiller.attach()
    distiller.step(0)
    losses = student(
        **student.data_preprocessor(batch(), training=True), mode='loss')
    distiller.remove()
    assert torch.isfinite(losses['loss_kd_fpn']) and losses['loss_kd_fpn'] > 0
    losses['loss_kd_fpn'].backward()
    assert any(p.grad is not None for p in student.backbone.parameters())
