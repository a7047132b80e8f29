# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# At half the size once more, for ablations: minutes a run on one CPU core.
_base_ = 'w2s_retinanet_r50_slim_bccd.py'

for pipeline in (_base_.train_pipeline, _base_.test_pipeline):
    for step in pipeline:
        if step['type'] == 'Resize':
            step['scale'] = (160, 120)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
model = dict(bbox_head=dict(anchor_generator=dict(octave_base_scale=2)))

default_hooks = dict(
    w2s=dict(
        teacher=dict(
            config='{{ fileDirname }}/retinanet_r18_slim_bccd_160.py',
            checkpoint='work_dirs/retinanet_r18_slim_bccd_160/epoch_10.pth')))
