# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from types import SimpleNamespace

import pytest
import runs
import torch
from builders import batch, build, teacher_field
from mmengine.registry import init_default_scope
from tiny_two_stage import faster_rcnn
from toys import retinanet, run_config, write_pictures

from mmw2s.distillation import FrozenTeacher
from mmw2s.engine.hooks import ChannelsLastHook


def is_channels_last(model) -> bool:
    return all(
        p.is_contiguous(memory_format=torch.channels_last)
        for p in model.parameters() if p.dim() == 4)


@pytest.fixture
def trained(tmp_path):
    teacher = teacher_field(retinanet(18), tmp_path / 'teacher.pth')
    seen = {}

    def train(*hooks):
        init_default_scope('mmdet')
        cfg = run_config(
            write_pictures(tmp_path),
            tmp_path / f'run{len(hooks)}',
            epochs=1,
            hooks=[
                dict(
                    type='WeakTeacherDistillHook',
                    teacher=teacher,
                    stop=dict(type='At', epoch=1)), *hooks
            ])
        original = FrozenTeacher.follow

        def follow(teacher, student):
            seen['teacher'] = original(teacher, student)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FrozenTeacher, 'follow', follow)
            runner = runs.train(cfg)
        return runner.model, seen['teacher'].model

    return train


def test_the_student_and_its_teacher_keep_the_channels_last(trained):
    student, teacher = trained(dict(type='ChannelsLastHook'))
    assert is_channels_last(student) and is_channels_last(teacher)


def test_without_the_hook_the_teacher_keeps_the_students_layout(trained):
    student, teacher = trained()
    assert not is_channels_last(student)
    assert not is_channels_last(teacher)


def test_a_model_with_operators_of_mmcv_is_refused_by_its_own_name():
    wrapped = torch.nn.DataParallel(build(faster_rcnn()))
    with pytest.raises(
            ValueError,
            match=r'the FasterRCNN has operators of mmcv .RoIAlign'):
        ChannelsLastHook().before_run(SimpleNamespace(model=wrapped))


def test_the_layout_changes_no_value():
    model, (inputs, samples) = build(retinanet(18)).eval(), batch()
    expected = model(inputs, samples, mode='tensor')
    ChannelsLastHook().before_run(SimpleNamespace(model=model))
    assert is_channels_last(model)
    for given, level in zip(model(inputs, samples, mode='tensor'), expected):
        torch.testing.assert_close(given, level, rtol=1e-4, atol=1e-5)
