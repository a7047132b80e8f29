# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# A cheaper teacher: on images of half the size, validated at the end alone.
# Its levels see the objects that they see at full size.
_base_ = 'faster_rcnn_r18_slim_bccd.py'

for pipeline in (_base_.train_pipeline, _base_.test_pipeline):
    for step in pipeline:
        if step['type'] == 'Resize':
            step['scale'] = (160, 120)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
model = dict(
    rpn_head=dict(anchor_generator=dict(octave_base_scale=1.5)),
    roi_head=dict(bbox_roi_extractor=dict(finest_scale=14)))

max_epochs = 10
train_cfg = dict(val_interval=max_epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=26)
