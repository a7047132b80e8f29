# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# The teacher of retinanet_r14_half_slim_bccd.py, out of which the student can
# grow, at half the size once more and for 8 epochs.
_base_ = 'retinanet_r14_half_slim_bccd.py'

for pipeline in (_base_.train_pipeline, _base_.test_pipeline):
    for step in pipeline:
        if step['type'] == 'Resize':
            step['scale'] = (160, 120)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
model = dict(bbox_head=dict(anchor_generator=dict(octave_base_scale=2)))

max_epochs = 8
train_cfg = dict(max_epochs=max_epochs, val_interval=4)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=max_epochs, end=max_epochs)
