# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import torch
import torch.nn.functional as F

from mmw2s.models import MSEKDLoss


def test_value_is_the_mean_squared_error():
    student, teacher = torch.randn(2, 2, 3, 4, 5)
    torch.testing.assert_close(MSEKDLoss()(student, teacher),
                               F.mse_loss(student, teacher))


def test_weights_multiply_elements_and_zeros_still_count():
    student, teacher = torch.randn(2, 2, 3, 4, 5)
    mask = torch.zeros(2, 1, 4, 5, dtype=torch.bool)
    mask[:, :, :2] = True
    kept = F.mse_loss(student[:, :, :2], teacher[:, :, :2])
    torch.testing.assert_close(MSEKDLoss()(student, teacher, mask), kept / 2)
    torch.testing.assert_close(
        MSEKDLoss()(student, teacher, mask, avg_factor=60), kept)
