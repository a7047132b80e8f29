# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# A UNet for a CPU, in three levels without attention but in the middle.
model = dict(
    type='DenoisingDiffusion',
    denoiser=dict(
        type='diffusers.UNet2DModel',
        sample_size=32,
        in_channels=3,
        out_channels=3,
        block_out_channels=(16, 32, 32),
        layers_per_block=1,
        down_block_types=('DownBlock2D', 'DownBlock2D', 'DownBlock2D'),
        up_block_types=('UpBlock2D', 'UpBlock2D', 'UpBlock2D'),
        attention_head_dim=16,
        norm_num_groups=8,
        resnet_time_scale_shift='scale_shift'),
    scheduler=dict(
        type='diffusers.DDPMScheduler',
        num_train_timesteps=1000,
        beta_schedule='squaredcos_cap_v2',
        prediction_type='epsilon'),
    sampler=dict(type='diffusers.DDIMScheduler'),
    sampling_steps=20)
