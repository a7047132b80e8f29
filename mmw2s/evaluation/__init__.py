# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .denoising_loss import DenoisingLoss
from .fid import FID
from .inception import InceptionFeatures

__all__ = ['DenoisingLoss', 'FID', 'InceptionFeatures']
