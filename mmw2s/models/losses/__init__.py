# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .base import DistillationLoss
from .box_kd_loss import BoxKDLoss
from .cwd_loss import CWDLoss
from .dist_loss import DISTLoss
from .dkd_loss import DKDLoss
from .kd_loss import KDLoss
from .mse_kd_loss import MSEKDLoss
from .pkd_loss import PKDLoss
from .pld_loss import PLDLoss
from .qfl_kd_loss import QualityFocalKDLoss

__all__ = [
    'BoxKDLoss', 'CWDLoss', 'DISTLoss', 'DKDLoss', 'DistillationLoss',
    'KDLoss', 'MSEKDLoss', 'PKDLoss', 'PLDLoss', 'QualityFocalKDLoss'
]
