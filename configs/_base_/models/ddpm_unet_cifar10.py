# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The UNet of improved-diffusion for 32 x 32: width 64 with 2 blocks a level,
# attention at 16 x 16 and 8 x 8. Another width w is block_out_channels =
# (w, 2 * w, 2 * w, 2 * w).
model = dict(
    type='DenoisingDiffusion',
    denoiser=dict(
        type='diffusers.UNet2DModel',
        sample_size=32,
        in_channels=3,
        out_channels=3,
        block_out_channels=(64, 128, 128, 128),
        layers_per_block=2,
        down_block_types=('DownBlock2D', 'AttnDownBlock2D', 'AttnDownBlock2D',
                          'DownBlock2D'),
        up_block_types=('UpBlock2D', 'AttnUpBlock2D', 'AttnUpBlock2D',
                        'UpBlock2D'),
        attention_head_dim=64,
        resnet_time_scale_shift='scale_shift',
        dropout=0.1),
    scheduler=dict(
        type='diffusers.DDPMScheduler',
        num_train_timesteps=1000,
        beta_schedule='squaredcos_cap_v2',
        prediction_type='epsilon'),
    sampler=dict(type='diffusers.DDIMScheduler'),
    sampling_steps=50)
