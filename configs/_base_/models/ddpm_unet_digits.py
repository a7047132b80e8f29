# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The UNet for a CPU in two levels, for grey images of 8 x 8.
_base_ = 'ddpm_unet_slim.py'

model = dict(
    denoiser=dict(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        block_out_channels=(16, 32),
        down_block_types=('DownBlock2D', 'DownBlock2D'),
        up_block_types=('UpBlock2D', 'UpBlock2D')))
