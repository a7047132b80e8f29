# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Runs on data whose labels do not mean what their metainfo says."""
import json
import os.path as osp

import pytest
from entries import CLS
from runs import rows, train
from toys import CLASSES, retinanet, run_config, write_pictures
from works_with import make_teacher


@pytest.fixture
def teacher(tmp_path):
    return make_teacher(tmp_path / 't.pth')


@pytest.fixture
def data(tmp_path):
    """The toy's pictures, and a file that lists their categories backwards."""
    (tmp_path / 'data').mkdir()
    root = write_pictures(tmp_path / 'data')
    with open(osp.join(root, 'instances.json')) as file:
        content = json.load(file)
    content['categories'].reverse()
    with open(osp.join(root, 'backwards.json'), 'w') as file:
        json.dump(content, file)
    return root


def start(data, tmp_path, train_file, val_file, **hook):
    """A run that gets as far as the teacher's scoring."""
    cfg = run_config(
        data,
        tmp_path / 'run',
        epochs=1,
        model=retinanet(18),
        hooks=[dict(type='WeakTeacherDistillHook', **hook)])
    cfg.train_dataloader.dataset.ann_file = train_file
    cfg.val_dataloader.dataset.ann_file = val_file
    cfg.val_evaluator.ann_file = osp.join(data, val_file)
    train(cfg)
    return rows(tmp_path / 'run')[0]


def test_scores_of_a_file_in_another_order_are_refused(data, teacher,
                                                       tmp_path):
    with pytest.raises(
            ValueError, match="differ at 0: 'box' against 'bar'.*by class"):
        start(
            data,
            tmp_path,
            'backwards.json',
            'backwards.json',
            teacher=teacher,
            distill=[CLS])


def test_left_to_itself_the_hook_takes_features_only(data, teacher, tmp_path):
    row = start(
        data, tmp_path, 'backwards.json', 'backwards.json', teacher=teacher)
    assert row['score'] is None  # which would be that of other classes


def test_whoever_knows_better_names_the_teachers_outputs(
        data, teacher, tmp_path):
    row = start(
        data,
        tmp_path,
        'backwards.json',
        'backwards.json',
        teacher=dict(teacher, classes=CLASSES[::-1]),
        distill=[CLS])
    assert row['metric'] == 'coco/bbox_mAP'
    assert row['evaluators'] == ['mmdet.CocoMetric']


def test_a_validation_set_in_another_order_is_refused(data, teacher, tmp_path):
    with pytest.raises(
            ValueError, match="'bar' is 1 in training and 0 in validation"):
        start(
            data,
            tmp_path,
            'instances.json',
            'backwards.json',
            teacher=teacher,
            distill=[CLS])


@pytest.mark.parametrize('classes', ['box, bar', [], ['box', 2], 3])
def test_names_of_outputs_that_are_no_list_of_names_are_refused_at_once(
        classes):
    from mmw2s.engine import WeakTeacherDistillHook
    with pytest.raises(ValueError, match='teacher.classes should be a list'):
        WeakTeacherDistillHook(dict(config='a.py', classes=classes))
