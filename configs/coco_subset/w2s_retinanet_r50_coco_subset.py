# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# configs/w2s_retinanet_coco.py on a small subset of COCO (2,846 / 308 images
# in COCO's layout in data/coco), without a download and on one CPU thread.
_base_ = '../w2s_retinanet_coco.py'
custom_imports = dict(imports=['mmw2s'], allow_failed_imports=False)

custom_hooks = _base_.custom_hooks
custom_hooks[0].teacher = dict(
    config='{{ fileDirname }}/retinanet_r18_coco_subset.py',
    checkpoint='work_dirs/retinanet_r18_coco_subset/iter_400.pth')
# In so short a run mAP is too coarse to compare: it is rounded to 0.001.
custom_hooks[0].stop.metric = 'coco/bbox_mAP_50'
custom_hooks[1].targets = {'coco/bbox_mAP_50': [0.005, 0.01, 0.02, 0.03]}

# No weights of ImageNet: the backbone learns from scratch, all of it, and with
# an optimizer that does so in a few hundred steps.
model = dict(backbone=dict(frozen_stages=-1, norm_eval=False, init_cfg=None))
optim_wrapper = dict(
    _delete_=True,
    type='BF16OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.),
    clip_grad=dict(max_norm=10., norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100)
]

# Small images, and a validation every 100 steps.
train_pipeline = _base_.train_pipeline
train_pipeline[2].scale = (256, 256)
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (256, 256)
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='InfiniteSampler'),
    dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
train_cfg = dict(
    _delete_=True, type='IterBasedTrainLoop', max_iters=400, val_interval=100)
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(by_epoch=False, interval=100, max_keep_ckpts=2))
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
