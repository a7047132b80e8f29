# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from mmw2s.models import CWDLoss


def reference(student, teacher, tau):
    """Each image's loss in float64."""
    log_s, log_t = (
        log_softmax(np.float64(x.flatten(2)) / tau, -1)
        for x in (student, teacher))
    kl = (np.exp(log_t) * (log_t - log_s)).sum(-1)
    return tau**2 * kl.mean(1)


def maps(seed=0):
    torch.manual_seed(seed)
    return 2 * torch.randn(2, 2, 3, 6, 5)


@pytest.mark.parametrize('tau', [1., 4.])
def test_value_is_the_mean_kl_divergence_of_the_channels(tau):
    student, teacher = maps()
    np.testing.assert_allclose(
        CWDLoss(tau)(student, teacher),
        reference(student, teacher, tau).mean(),
        rtol=1e-5)


def test_an_offset_of_a_channel_does_not_matter():
    student, teacher = maps()
    offset = torch.tensor([5., -20., 0.]).view(3, 1, 1)
    torch.testing.assert_close(CWDLoss()(student + offset, teacher - offset),
                               CWDLoss()(student, teacher))


def test_a_mask_leaves_what_a_crop_leaves():
    student, teacher = maps()
    student.requires_grad_()
    mask = torch.zeros(2, 1, 6, 5, dtype=torch.bool)
    mask[:, :, 1:5, :3] = True
    crop = np.s_[:, :, 1:5, :3]
    loss = CWDLoss(2.)(student, teacher, mask)
    torch.testing.assert_close(loss, CWDLoss(2.)(student[crop], teacher[crop]))
    loss.backward()
    assert ((student.grad != 0) == mask).all()


def test_an_image_masked_altogether_counts_as_zero():
    student, teacher = maps()
    student.requires_grad_()
    mask = torch.tensor([1., 0.]).view(2, 1, 1, 1)
    loss = CWDLoss()(student, teacher, mask)
    want = reference(student[:1].detach(), teacher[:1], 1.)[0] / 2
    np.testing.assert_allclose(loss.item(), want, rtol=1e-5)
    loss.backward()
    assert student.grad[1].abs().max() == 0


def test_what_is_not_a_map_is_refused():
    with pytest.raises(ValueError, match=r'\(B, C, H, W\), but got \(2, 3\)'):
        CWDLoss()(torch.zeros(2, 3), torch.zeros(2, 3))
