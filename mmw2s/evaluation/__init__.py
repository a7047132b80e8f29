# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .denoising_error import DenoisingError
from .fid import FID
from .inception import InceptionFeatures

__all__ = ['DenoisingError', 'FID', 'InceptionFeatures']
