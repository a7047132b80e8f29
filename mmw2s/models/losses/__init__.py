# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .base import DistillationLoss
from .box_kd_loss import BoxKDLoss
from .cwd_loss import CWDLoss
from .kd_loss import KDLoss
from .mse_kd_loss import MSEKDLoss
from .pkd_loss import PKDLoss
from .qfl_kd_loss import QualityFocalKDLoss

__all__ = [
    'BoxKDLoss', 'CWDLoss', 'DistillationLoss', 'KDLoss', 'MSEKDLoss',
    'PKDLoss', 'QualityFocalKDLoss'
]
