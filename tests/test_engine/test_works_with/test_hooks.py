# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The hook with others that average, save and end a run."""
import json
import os.path as osp

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from works_with import distilling, find, hooks_on, train

from mmw2s.records.files import EVENTS


@HOOKS.register_module()
class Validated(Hook):
    """Notes the weights that a validation is made with."""

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        self.weights = first_lateral(runner)


def first_lateral(runner, outputs=None):
    """Some of the student's weights."""
    return runner.model.neck.lateral_convs[0].conv.weight.detach().clone()


def test_what_is_validated_is_the_average_of_the_distilled_weights(
        pictures, teacher, tmp_path):
    runner, seen = train(
        distilling(
            pictures,
            tmp_path,
            teacher,
            hooks=[
                dict(type='EMAHook', momentum=0.5),
                dict(type='Validated', priority='LOWEST')
            ],
            validate=True), first_lateral)
    average = seen[0]
    for weights in seen[1:]:
        average = (average + weights) / 2
    torch.testing.assert_close(find(runner, Validated).weights, average)
    assert hooks_on(runner.model) == 0


def test_the_best_checkpoint_and_an_early_end_go_by_the_students_scores(
        pictures, teacher, tmp_path):
    cfg = distilling(
        pictures,
        tmp_path,
        teacher,
        hooks=[
            dict(
                type='EarlyStoppingHook',
                monitor='coco/bbox_mAP',
                patience=1,
                min_delta=10.)
        ],
        epochs=5,
        validate=True,
        w2s=dict(stop=dict(type='SurpassTeacher', latest=None)))
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', interval=1, save_best='coco/bbox_mAP')
    runner, _ = train(cfg)
    assert runner.epoch == 2
    assert hooks_on(runner.model) == 0
    with open(osp.join(str(tmp_path), EVENTS)) as file:
        rows = [row for row in map(json.loads, file) if row['event'] == 'val']
    scores = [row['metrics']['coco/bbox_mAP'] for row in rows]
    assert len(scores) == 2
    assert runner.message_hub.get_info('best_score') == max(scores)
    path, = tmp_path.glob('best_coco_bbox_mAP_epoch_*.pth')
    saved = torch.load(path, weights_only=False)['state_dict']
    assert saved.keys() == runner.model.state_dict().keys()
