# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .denoising_diffusion import DenoisingDiffusion
from .prediction_type import convert, min_snr_weight

__all__ = ['DenoisingDiffusion', 'convert', 'min_snr_weight']
