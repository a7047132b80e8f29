# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmw2s.distillation.misfits import (refuse_no_number, refuse_other_size,
                                        refuse_unfit)

TERM = SimpleNamespace(key='loss_kd_fpn', loss=nn.L1Loss())


@pytest.mark.parametrize('given, told', [
    (torch.ones(1), r'of shape \(1,\)'),
    (torch.ones(2, 3), r'of shape \(2, 3\)'),
    (1., 'gives a float'),
    (None, 'gives a NoneType'),
])
def test_a_loss_that_gives_no_number_is_refused(given, told):
    refuse_no_number(TERM, [torch.tensor(1.)])
    with pytest.raises(TypeError, match=rf'L1Loss \(loss_kd_fpn\).*{told}'):
        refuse_no_number(TERM, [torch.tensor(1.), given])


def pair(student, teacher):
    return SimpleNamespace(name='neck', student=student, teacher=teacher)


def test_pairs_that_teach_nothing_are_refused():
    one = torch.ones(2)
    learns = one.clone().requires_grad_()
    refuse_unfit(TERM, [pair(one, one), pair(learns, one)], 'weak')
    with pytest.raises(ValueError, match='weak gives values at neck that'):
        refuse_unfit(TERM, [pair(learns, one * float('nan'))], 'weak')
    with pytest.raises(ValueError, match='neck is frozen'):
        refuse_unfit(TERM, [pair(one, one)], 'weak')


@pytest.mark.parametrize('by_place,scale,fits', [(True, 1, True),
                                                 (False, .5, True),
                                                 (True, .5, False)])
def test_places_need_images_of_one_size(by_place, scale, fits):
    asked = SimpleNamespace(by_place=by_place), SimpleNamespace(scale=scale)
    if fits:
        refuse_other_size(*asked)
        return
    with pytest.raises(ValueError, match='teacher.scale=0.5'):
        refuse_other_size(*asked)
