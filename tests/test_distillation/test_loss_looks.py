# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from builders import TinyModel
from mmengine.structures import BaseDataElement

from mmw2s.distillation.loss_looks import LossLooks


class Changing(TinyModel):
    """As RTMDet-Ins: changes its data samples while it computes losses."""

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            for sample in data_samples:
                sample.masks = sample.masks.float() + 1
                sample.boxes += 1
        return super().forward(inputs, data_samples, mode)


def samples():
    return [BaseDataElement(masks=torch.zeros(2), boxes=torch.zeros(2))]


@pytest.fixture
def model():
    return Changing().train()


def forward(looks, model, iteration, mode='loss'):
    """The samples that the teacher is given, and those of the batch."""
    looks.set_progress(iteration)
    given = samples()
    model(torch.zeros(1, 3, 4, 4), given, mode=mode)
    return looks.samples(given), given


def test_the_teacher_is_given_the_samples_as_the_student_was(model):
    looks = LossLooks(model)
    looks.every(2)
    kept, given = forward(looks, model, 1)
    assert given[0].masks.sum() == given[0].boxes.sum() == 2.
    assert kept[0].masks.sum() == kept[0].boxes.sum() == 0.


def test_they_are_copied_in_the_iterations_of_a_look_alone(model):
    looks = LossLooks(model)
    looks.every(3)
    copied = []
    for iteration in range(7):
        kept, given = forward(looks, model, iteration)
        copied.append(kept is not given)
    # The first one is tried, the others count.
    assert copied == [True, False, True, False, False, True, False]


def test_the_first_iteration_is_tried_and_does_not_count(model):
    looks = LossLooks(model)
    looks.every(50)
    for iteration, due, counts in ((0, True, False), (1, False, False),
                                   (49, True, True)):
        looks.set_progress(iteration)
        assert (looks.is_due, looks.counts) == (due, counts)
        looks.samples(None)


def test_a_resumed_run_tries_them_in_its_first_iteration(model):
    looks = LossLooks(model)
    looks.every(50)
    looks.set_progress(1007)
    assert looks.is_due and not looks.counts


def test_without_an_interval_nothing_is_kept_and_nothing_due(model):
    looks = LossLooks(model)
    looks.every(None)
    kept, given = forward(looks, model, 0)
    assert kept is given and not looks.is_due
    assert not model._forward_pre_hooks


def test_a_validation_is_no_look(model):
    looks = LossLooks(model)
    looks.every(1)
    kept, given = forward(looks, model, 0, mode='predict')
    assert kept is given


def test_it_takes_its_hook_off_again(model):
    looks = LossLooks(model)
    looks.every(1)
    looks.every(1)
    assert len(model._forward_pre_hooks) == 1
    looks.remove()
    assert not model._forward_pre_hooks
