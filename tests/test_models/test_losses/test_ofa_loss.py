# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmw2s.models import OFALoss


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


@pytest.mark.parametrize('eps', [1., 1.5, 2.])
@pytest.mark.parametrize('temperature', [1., 3.])
def test_value_is_that_of_the_paper(eps, temperature):
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 4, 5)
    target = torch.tensor([0, 3, 4, 1])
    want = 0.
    for s, t, y in zip(student.double().numpy(),
                       teacher.double().numpy(), target.tolist()):
        q, p = softmax(s / temperature), softmax(t / temperature)
        # Of the right class (1 + p)^eps - 1, of the others p^eps.
        want -= ((1 + p[y])**eps - 1) * np.log(q[y])
        want -= sum(p[c]**eps * np.log(q[c]) for c in range(5) if c != y)
    loss = OFALoss(eps, temperature)
    np.testing.assert_allclose(
        loss(student, teacher, target=target), want / 4, rtol=1e-5)


def test_an_exponent_of_one_is_a_cross_entropy_with_the_teacher():
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 4, 5)
    want = F.cross_entropy(student, teacher.softmax(-1))
    got = OFALoss(1.)(student, teacher, target=torch.tensor([0, 3, 4, 1]))
    torch.testing.assert_close(got, want)


def test_an_exponent_below_one_is_refused():
    with pytest.raises(ValueError, match='OFALoss.eps should be'):
        OFALoss(0.5)
