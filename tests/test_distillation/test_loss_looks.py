# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from types import SimpleNamespace

import pytest
import torch
from builders import TinyModel, batch, build, teacher_of
from mmengine.logging import MMLogger
from mmengine.structures import BaseDataElement
from toys import retinanet

from mmw2s.distillation.distiller import Distiller
from mmw2s.distillation.loss_looks import LossLooks
from mmw2s.distillation.schedules import Constant
from mmw2s.distillation.terms import build_terms


class Changing(TinyModel):
    """As RTMDet-Ins: changes its data samples while it computes losses."""

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            for sample in data_samples:
                sample.masks = sample.masks.float() + 1
                sample.boxes += 1
        return super().forward(inputs, data_samples, mode)


class Run:
    """A student's steps, with a teacher whose loss is always 1."""

    def __init__(self, interval):
        self.student, self.iteration = Changing().train(), 0
        #: The data samples that the teacher was given.
        self.given = []
        self.looks = LossLooks(self, interval)

    def teacher_outputs(self, inputs, data_samples):
        self.given.append(data_samples)
        return SimpleNamespace(task_losses=lambda: dict(loss=torch.tensor(1.)))

    def step(self, iteration, mode='loss'):
        """What was found, and the samples that the student was given."""
        self.iteration = iteration
        samples = [BaseDataElement(masks=torch.zeros(2), boxes=torch.zeros(2))]
        self.student(torch.zeros(1, 3, 4, 4), samples, mode=mode)
        return self.looks.take(), samples


def test_the_teacher_is_given_the_samples_as_the_student_was():
    run = Run(interval=2)
    _, changed = run.step(1)
    assert changed[0].masks.sum() == changed[0].boxes.sum() == 2.
    (kept, ), = run.given
    assert kept.masks.sum() == kept.boxes.sum() == 0.


def test_both_losses_are_given_once_in_the_iterations_that_count():
    run = Run(interval=3)
    found = [run.step(i)[0] for i in range(7)]
    assert [i for i, losses in enumerate(found) if losses] == [2, 5]
    assert found[2]['teacher'] == 1. and found[2]['student'] != 1.
    assert run.looks.take() is None


@pytest.mark.parametrize('first', [0, 1007])
def test_the_first_iteration_is_tried_and_does_not_count(first):
    run = Run(interval=50)
    assert run.step(first)[0] is None and len(run.given) == 1
    assert run.step(first + 1)[0] is None and len(run.given) == 1


def test_a_validation_is_no_look():
    run = Run(interval=1)
    assert run.step(0, mode='predict')[0] is None
    run.student.eval()
    assert run.step(0)[0] is None
    assert run.given == []


def test_it_takes_its_hooks_off_again():
    run = Run(interval=1)
    run.looks.remove()
    assert run.step(0)[0] is None and run.given == []
    assert not run.student._forward_pre_hooks
    assert not run.student._forward_hooks


# -- what is compared ----------------------------------------------------


@pytest.fixture
def distiller(tmp_path):
    teacher = teacher_of(retinanet(18, channels=8), tmp_path / 'teacher.pth')
    made = Distiller(
        build(retinanet(50, channels=8)).train(), teacher,
        build_terms([
            dict(
                knowledge=dict(type='FPNFeatures'), loss=dict(type='PKDLoss'))
        ]), Constant(1.))
    yield made
    made.remove()


def test_the_task_loss_is_summed_as_the_model_sums_it(distiller):
    losses = dict(
        loss_cls=[torch.tensor([1., 3.]),
                  torch.tensor(4.)],
        loss_bbox=torch.tensor([[2., 4.]]),
        acc=torch.tensor(9.))
    expected, _ = distiller.student.parse_losses(losses)
    compared = LossLooks(distiller, 1).compare(losses, losses)
    assert compared == dict(student=9., teacher=9.)
    assert expected.item() == 9.


def test_only_losses_that_both_models_have_are_compared(distiller, capsys):
    MMLogger.get_instance('said')
    student = dict(loss_cls=torch.tensor(2.), loss_mask=torch.tensor(5.))
    teacher = distiller.teacher_outputs(*batch()).task_losses()
    looks = LossLooks(distiller, 1)
    for _ in range(2):
        compared = looks.compare(student, teacher)
    assert compared['student'] == 2.
    assert compared['teacher'] == pytest.approx(
        sum(teacher['loss_cls']).item())
    said = capsys.readouterr().out
    assert said.count('by loss_cls alone: only one of the two has loss_bbox, '
                      'loss_mask') == 1
    with pytest.raises(ValueError, match='no loss in common.*has loss_mask'):
        looks.compare(dict(loss_mask=torch.tensor(5.)), teacher)


def test_a_look_in_a_step_compares_the_student_without_the_teachers_share(
        distiller):
    looks = LossLooks(distiller, 1)
    distiller.bind(10, 10)
    distiller.attach()
    distiller.step(0)
    losses = distiller.student(*batch(), mode='loss')
    assert 'loss_kd_fpn' in losses
    own = {k: v for k, v in losses.items() if k != 'loss_kd_fpn'}
    expected, _ = distiller.student.parse_losses(own)
    assert looks.take()['student'] == pytest.approx(expected.item())
