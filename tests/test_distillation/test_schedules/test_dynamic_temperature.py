# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import math

import pytest
import torch

from mmw2s.distillation.knowledge import Pair
from mmw2s.distillation.schedules import DynamicTemperature
from mmw2s.registry import SCHEDULES

TARGET = torch.tensor([0, 1, 2, 1])


def bound(max_iters=60, **fields):
    schedule = SCHEDULES.build(dict(type='DynamicTemperature', **fields))
    schedule.bind(max_iters, 10)
    return schedule


def logits(loss):
    """Scores of three classes whose cross-entropy is ``loss``."""
    # -log(1 / (1 + 2 exp(-x))) = loss
    margin = math.log(2) - math.log(math.expm1(loss))
    return margin * torch.nn.functional.one_hot(TARGET, 3).float()


def pair(student, teacher, target=TARGET):
    return Pair('head', logits(student), logits(teacher), target=target)


def after(schedule, *batches, begin=0):
    """Its values after batches of given losses of student and teacher."""
    values = []
    for i, losses in enumerate(batches, begin):
        schedule.update(i, [pair(*losses)])
        values.append(float(schedule.value(i + 1)))
    return values


def test_it_takes_its_closed_form():
    batches = [(5., .5), (3., .5), (2.3, 1.), (1.2, 1.), (.8, 1.), (.5, 3.)]
    found = after(bound(6, start=5., low=1.5), *batches)
    expected, now = [], 5.
    for i, (student, teacher) in enumerate(batches):
        d = teacher - student
        s = d / (d + 1)
        # The limit of 2 is not in the paper.
        k = min(s, 2.) if s > 1 else 1.
        cosine = 5 / 2 * (1 + math.cos(math.pi * i / 6))
        now = 0.9 * now + 0.1 * min(max(cosine * k, 1.5), 5.)
        expected.append(now)
    assert found == pytest.approx(expected, rel=1e-5)


def test_it_is_hotter_while_the_student_is_far_behind():
    far, near = (
        after(bound(40), *[losses] * 20)[-1]
        for losses in ((4., .5), (1., .5)))
    assert far > near + 0.5


@pytest.mark.parametrize('losses', [(1.9, 1.), (.5, 1.), (.5, 9.)])
def test_near_the_teacher_and_past_it_the_cosine_is_all(losses):
    assert after(bound(40), *[losses] * 30) == pytest.approx(
        after(bound(40), *[(1., 1.)] * 30))


def test_it_stays_within_its_bounds_up_to_the_end():
    values = after(bound(20, start=6., low=1.), *[(1.99, 1.), (2.01, 1.)] * 40)
    assert all(1 <= value <= 6 for value in values)
    assert values[-1] == pytest.approx(1., abs=0.01)


@pytest.mark.parametrize('loss', [math.nan, math.inf])
@pytest.mark.parametrize('who', ['student', 'teacher'])
def test_a_loss_that_is_not_finite_does_not_spoil_it(loss, who):
    schedule = bound()
    broken = pair(1., 1.)
    broken = broken._replace(**{who: broken.student * 0 - loss})
    schedule.update(0, [broken])
    assert float(schedule.value(1)) == 4.


def test_soft_labels_are_taken_too():
    hard, soft = bound(10), bound(10)
    for i in range(5):
        hard.update(i, [pair(4., 1.)])
        one_hot = torch.nn.functional.one_hot(TARGET, 3).float()
        soft.update(i, [pair(4., 1., one_hot)])
    assert float(soft.value(5)) == pytest.approx(float(hard.value(5)))


def test_it_stays_on_the_device_without_a_graph():
    schedule = bound()
    student = logits(2.).requires_grad_()
    schedule.update(0, [Pair('head', student, logits(1.), target=TARGET)])
    value = schedule.value(1)
    assert value.shape == () and not value.requires_grad


def test_16_bits_are_compared_in_32():
    found = bound()
    given = pair(2.2, 1.)
    found.update(
        5, [given._replace(student=given.student.bfloat16().requires_grad_())])
    assert found.value(6).dtype == torch.float32


def test_all_ranks_take_the_mean_gap(monkeypatch):

    def other_rank(gap, op):  # its student is level with the teacher
        assert op == 'mean'
        gap /= 2

    name = 'mmw2s.distillation.schedules.dynamic_temperature.all_reduce'
    monkeypatch.setattr(name, other_rank)
    found = after(bound(40), *[(6., 1.)] * 10)
    monkeypatch.undo()
    assert found == pytest.approx(after(bound(40), *[(3.5, 1.)] * 10))


def test_a_resumed_one_goes_on_as_the_unbroken_one(tmp_path):
    batches = [(3., 1.), (2.5, 1.), (1.5, 1.), (.5, 1.)]
    unbroken, cut, resumed = bound(4), bound(4), bound(4)
    expected = after(unbroken, *batches)
    after(cut, *batches[:2])
    torch.save(cut.state_dict(), tmp_path / 'state.pth')
    resumed.load_state_dict(
        torch.load(tmp_path / 'state.pth', weights_only=True))
    assert float(resumed.value(2)) == expected[1]
    assert after(resumed, *batches[2:], begin=2) == expected[2:]


def test_before_the_first_batch_it_is_the_first_temperature():
    schedule = bound(start=3.)
    assert schedule.value(0) == schedule.value(59) == 3.
    assert DynamicTemperature().state_dict() == dict(temperature=4.)


@pytest.mark.parametrize('fields, message', [
    (dict(low=0.), '0 < low <= start, but got low=0'),
    (dict(start=1.), 'low=2.0, start=1.0'),
    (dict(low=math.nan), 'DynamicTemperature.low .* finite'),
    (dict(length=-1), 'DynamicTemperature.length'),
])
def test_bad_fields_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        bound(**fields)
