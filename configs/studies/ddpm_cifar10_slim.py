# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# A slim diffusion model on CIFAR-10 that begins as its teacher, grown to its
# own size: does it pay for the teacher? The teacher has half the iterations
# of its config. The started arms have a quarter of the warm-up.
#     mmw2s prepare-cifar10 data/cifar10
#     mmw2s study configs/studies/ddpm_cifar10_slim.py --jobs 2
student = 'diffusion/w2s_ddpm_slim_cifar10.py'
teacher = dict(
    config='ddpm_slim_cifar10.py', cfg_options={'train_cfg.max_iters': 500})

metric = 'diffusion/denoising_mse'
targets = [0.10, 0.09, 0.08, 0.075]
margin = 0.001
seeds = [0, 1, 2]
start = dict(type='Grow')
warm_up = 0.25
arms = ['baseline', 'start', 'both', 'distillation', 'permuted_teacher']
