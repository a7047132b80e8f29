# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from mmengine.logging import MMLogger
from ranks import run_ranks
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmw2s.distillation.gradient_share import (DrownedTaskWatch, Share,
                                               gradient_shares,
                                               warn_of_drowned_task)


class Student(nn.Module):

    def __init__(self):
        super().__init__()
        self.backbone, self.head = nn.Linear(2, 2), nn.Linear(2, 1)

    def forward(self, x):
        return self.head(self.backbone(x)).sum()


@pytest.fixture
def student():
    torch.manual_seed(0)
    return Student()


def test_a_share_is_of_the_gradient_norms_outside_the_backbone(student):
    task = student(torch.ones(1, 2))
    other = student.backbone(torch.ones(1, 2)).sum()  # reaches no head
    shares = gradient_shares(student, task, dict(a=task * 3, b=other))
    assert shares == dict(a=Share(pytest.approx(3), 'gradient'))


def test_of_a_frozen_head_the_backbone_tells(student):
    student.head.requires_grad_(False)
    task = student(torch.ones(1, 2))
    shares = gradient_shares(student, task, dict(a=task * 3))
    assert shares['a'].value == pytest.approx(3)


def test_measuring_leaves_graph_gradients_and_random_numbers_alone(student):
    task = student(torch.ones(1, 2))
    before = torch.get_rng_state()
    gradient_shares(student, task, dict(a=task * 3))
    assert all(p.grad is None for p in student.parameters())
    assert torch.equal(torch.get_rng_state(), before)
    task.backward()
    assert torch.equal(student.head.weight.grad,
                       student.backbone(torch.ones(1, 2)))


def test_reentrant_checkpoints_are_told_by_their_losses(student):
    x = torch.ones(1, 2, requires_grad=True)
    task = checkpoint(student, x, use_reentrant=True)
    shares = gradient_shares(student, task, dict(a=task * 3))
    assert shares == dict(a=Share(pytest.approx(3), 'loss'))
    task.backward()
    assert student.head.weight.grad is not None


def test_sharded_parameters_are_told_by_losses(student, monkeypatch):

    class FSDPLinear(nn.Linear):
        pass

    student.extra = FSDPLinear(1, 1)
    task = student(torch.ones(1, 2))
    assert gradient_shares(student, task, dict(a=task * 3))['a'].by == 'loss'


def test_small_gradients_of_half_precision_count(student):
    student.half()
    task = student(torch.ones(1, 2).half()) * 1e-6
    shares = gradient_shares(student, task, dict(a=task * 3))
    assert shares['a'].value == pytest.approx(3, rel=0.1)


def test_a_drowned_task_is_told_with_a_weight_that_would_do(capsys):
    MMLogger.get_instance('drowned', logger_name='drowned')
    warn_of_drowned_task(
        dict(
            loss_kd_fpn=Share(400., 'gradient'),
            loss_kd_cls=Share(99., 'gradient')), dict(loss_kd_fpn=10.))
    message = capsys.readouterr().out
    assert 'loss_kd_cls' not in message
    assert 'gradient of loss_kd_fpn is 400 times' in message
    assert 'loss_weight=0.025 instead of 10' in message


@pytest.mark.parametrize('values,told', [
    ((95., ), None),
    ((109., 94.), None),
    ((109., 130., 101.), 101),
    ((1001., ), 1001),
])
def test_a_batch_that_is_suspect_by_chance_is_not_told(values, told, capsys):
    MMLogger.get_instance('drowned', logger_name='drowned')
    watch = DrownedTaskWatch()
    for value in values:
        assert watch.is_due
        assert capsys.readouterr().out == ''
        watch.see(dict(fpn=Share(value, 'gradient')), {})
    assert not watch.is_due
    message = capsys.readouterr().out
    assert f'fpn is {told} times' in message if told else message == ''


RANKS = """
import os
import torch
from mmw2s.distillation.gradient_share import gradient_shares
from test_distillation.test_gradient_share import Student
torch.distributed.init_process_group('gloo')
torch.manual_seed(0)
student, rank = Student(), int(os.environ['RANK'])
task = student(torch.ones(1, 2))
print(gradient_shares(student, task, dict(a=task * (1 + 200 * rank))))
"""


def test_two_ranks_are_given_the_same_shares():
    # Another look is a backward, in which SyncBN waits for the other rank.
    (_, one), (_, other) = run_ranks(RANKS)
    assert one.splitlines()[-1] == other.splitlines()[-1]
    assert 'value=1.0' in one
