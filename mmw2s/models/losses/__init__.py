# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .attention_loss import AttentionLoss
from .base import DistillationLoss
from .box_kd_loss import BoxKDLoss
from .cosine_kd_loss import CosineKDLoss
from .cwd_loss import CWDLoss
from .dist_loss import DISTLoss
from .dkd_loss import DKDLoss
from .fgd_loss import FGDLoss
from .kd_loss import KDLoss
from .mse_kd_loss import MSEKDLoss
from .ofa_loss import OFALoss
from .pkd_loss import PKDLoss
from .pld_loss import PLDLoss
from .qfl_kd_loss import QualityFocalKDLoss
from .relation_loss import RelationLoss

__all__ = [
    'AttentionLoss', 'BoxKDLoss', 'CWDLoss', 'CosineKDLoss', 'DISTLoss',
    'DKDLoss', 'DistillationLoss', 'FGDLoss', 'KDLoss', 'MSEKDLoss', 'OFALoss',
    'PKDLoss', 'PLDLoss', 'QualityFocalKDLoss', 'RelationLoss'
]
