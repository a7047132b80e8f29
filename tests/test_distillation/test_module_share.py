# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import math

import pytest
import torch
from torch import nn

from mmw2s.distillation.module_share import ModuleShareWeight


class TwoParts(nn.Module):
    """A model whose gradients a test sets."""

    def __init__(self):
        super().__init__()
        self.neck, self.head = nn.Linear(2, 1, False), nn.Linear(2, 1, False)

    def with_norms(self, neck, head):
        for part, norm in ((self.neck, neck), (self.head, head)):
            part.weight.grad = torch.full((1, 2), norm / math.sqrt(2))
        return self


def weight(**fields):
    return ModuleShareWeight(
        'neck', **{
            **dict(ratio=0.2, interval=1, momentum=0.),
            **fields
        })


def test_the_weight_changes_by_the_odds_of_the_shares():
    follow = weight()
    follow.see(TwoParts().with_norms(3., 4.))  # a share of 3 / 5
    assert follow().item() == pytest.approx((0.2 * 0.4) / (0.6 * 0.8))


def test_it_comes_to_the_share_that_is_asked_for():
    follow, model = weight(ratio=0.3), TwoParts()
    for _ in range(40):
        follow.see(model.with_norms(5 * follow().item(), 2.))
    own = 5 * follow().item()
    assert own / math.hypot(own, 2.) == pytest.approx(0.3, rel=1e-3)


@pytest.mark.parametrize('norms, change', [((1e-6, 1.), 10.),
                                           ((1., 1e-3), 0.1)])
def test_one_change_is_bounded_and_so_is_the_weight(norms, change):
    follow, model = weight(), TwoParts().with_norms(*norms)
    follow.see(model)
    assert follow().item() == pytest.approx(change)
    for _ in range(9):
        follow.see(model)
    assert follow().item() == pytest.approx(change**3)


def test_it_changes_once_in_each_interval_by_the_average():
    follow, model = weight(interval=2, momentum=0.5), TwoParts()
    follow.see(model.with_norms(3., 4.))
    assert follow().item() == 1.
    follow.see(model.with_norms(4., 3.))
    p = (0.6 + 0.8) / 2
    assert follow().item() == pytest.approx(0.2 * (1 - p) / (p * 0.8))


def test_an_overflow_and_a_module_without_a_gradient_change_nothing():
    follow = weight()
    follow.see(TwoParts().with_norms(float('inf'), 1.))
    assert follow().item() == 1.
    follow.see(TwoParts())
    assert follow().item() == 1.


def test_its_state_round_trips():
    first, second = weight(interval=2), weight(interval=2)
    for norms in ((3., 4.), (1., 4.), (2., 4.)):
        first.see(TwoParts().with_norms(*norms))
    second.load_state_dict(first.state_dict())
    for follow in (first, second):
        follow.see(TwoParts().with_norms(5., 4.))
    assert second.state_dict() == first.state_dict()


def test_a_module_that_is_not_there_or_not_trained_is_refused():
    model = TwoParts()
    weight().check(model)
    with pytest.raises(ValueError, match='has no module "body"'):
        ModuleShareWeight('body').check(model)
    model.neck.requires_grad_(False)
    with pytest.raises(ValueError, match='neck has nothing that is trained'):
        weight().check(model)


@pytest.mark.parametrize('fields, message', [
    (dict(ratio=1.), 'ratio should be a finite number > 0 and < 1'),
    (dict(interval=0), 'interval should be an integer >= 1'),
    (dict(momentum=1.), 'momentum should be a finite number >= 0 and < 1'),
])
def test_bad_fields_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        weight(**fields)
