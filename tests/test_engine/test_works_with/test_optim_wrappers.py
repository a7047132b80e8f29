# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The hook with accumulation, clipping and mixed precision."""
import pytest
import torch
from builders import build, save
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from runs import find, train_watched
from tiny_two_stage import faster_rcnn
from works_with import distilling

from mmw2s.engine import WeakTeacherDistillHook


@HOOKS.register_module()
class Gradients(Hook):
    """Notes the gradients that each update is made with."""

    def before_train(self, runner):
        self.seen = []
        drop = runner.optim_wrapper.zero_grad

        def note_and_drop(**kwargs):
            self.seen.append(
                torch.cat([
                    p.grad.flatten() for p in runner.model.parameters()
                    if p.grad is not None
                ]))
            drop(**kwargs)

        runner.optim_wrapper.zero_grad = note_and_drop


@HOOKS.register_module()
class TeachersPrecision(Hook):
    """Notes the precision of the teacher's maps."""

    def before_train_epoch(self, runner):
        teacher = find(runner, WeakTeacherDistillHook).distiller.teacher
        teacher.model.neck.register_forward_hook(self.note)

    def note(self, module, inputs, maps):
        self.dtype = maps[0].dtype


def test_accumulated_gradients_are_the_mean_and_are_clipped_as_a_whole(
        pictures, teacher, tmp_path):

    def gradients(**optim):
        cfg = distilling(
            pictures,
            tmp_path,
            teacher,
            hooks=[dict(type='Gradients')],
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.), **optim))
        return find(train_watched(cfg)[0], Gradients).seen

    first, second, *_ = gradients()
    mean = (first + second) / 2
    updates = gradients(accumulative_counts=2)
    assert len(updates) == 2
    torch.testing.assert_close(updates[0], mean, rtol=1e-4, atol=1e-4)
    clipped, _ = gradients(accumulative_counts=2, clip_grad=dict(max_norm=0.5))
    torch.testing.assert_close(
        clipped, mean * (0.5 / mean.norm()), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize('wrapper', [
    pytest.param(
        'BF16OptimWrapper',
        marks=pytest.mark.skipif(
            torch.cuda.is_available(), reason='no bfloat16 focal loss')),
    pytest.param(
        'AmpOptimWrapper',
        marks=pytest.mark.skipif(
            not torch.cuda.is_available(), reason='needs a GPU'))
])
def test_in_mixed_precision_the_losses_are_nearly_those_of_float32(
        pictures, teacher, tmp_path, wrapper):
    runs, precisions = [], []
    for kind in ('OptimWrapper', wrapper):
        cfg = distilling(
            pictures,
            tmp_path,
            teacher,
            hooks=[dict(type='TeachersPrecision')],
            optim_wrapper=dict(type=kind))
        runner, seen = train_watched(cfg)
        runs.append(seen[0])
        precisions.append(find(runner, TeachersPrecision).dtype)
    assert precisions[0] is torch.float32 and precisions[1].itemsize == 2
    assert runs[1] == pytest.approx(runs[0], rel=0.05)


def test_bfloat16_is_refused_for_a_two_stage_student_before_anything_else(
        pictures, tmp_path, monkeypatch):
    path = save(build(faster_rcnn(18), 1), tmp_path / 'teacher.pth')
    teacher = dict(
        config=dict(default_scope='mmdet', model=faster_rcnn(18)),
        checkpoint=path)
    monkeypatch.setattr('mmw2s.engine.assembly.FrozenTeacher.from_cfg',
                        lambda *args: pytest.fail('built'))
    cfg = distilling(pictures, tmp_path, teacher, model=faster_rcnn(50))
    cfg.optim_wrapper.type = 'BF16OptimWrapper'
    with pytest.raises(
            ValueError, match='the FasterRCNN cannot .* bfloat16.*RoIAlign'):
        train_watched(cfg)
