# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Who normalises: the pipeline or the preprocessor, of run and teacher."""
import copy
from types import SimpleNamespace

import pytest
import torch
from mmcv.transforms import Normalize
from mmdet.models import SingleStageDetector
from toys import retinanet, write_pictures
from torchvision import transforms
from works_with import distilling, make_teacher, train

from mmw2s.distillation.pipelines import Pipelines, match_pipelines

RGB = dict(
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True)
CAFFE = dict(mean=[103.53, 116.28, 123.675], std=[1., 1., 2.])
NOTHING = dict(mean=None, std=None, bgr_to_rgb=False)


def as_transform(norm):
    norm = dict(norm)
    return dict(
        type='Normalize', to_rgb=norm.pop('bgr_to_rgb', False), **norm)


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp('data'), count=4)


def seen_by_the_teacher(pictures, folder, monkeypatch, run_by, teacher_by):
    """All that the teacher predicts on: in its scoring, and in training."""
    seen, predict = [], SingleStageDetector.predict

    def note(model, inputs, *args, **kwargs):
        if model.backbone.depth == 18:
            seen.append(inputs)
        return predict(model, inputs, *args, **kwargs)

    folder.mkdir()
    teacher = make_teacher(folder / 't.pth', bgr_to_rgb=False, **CAFFE)
    model = retinanet(50, norm_eval=True)
    cfg = distilling(
        pictures,
        folder / 'run',
        teacher,
        model=model,
        validate=True,
        w2s=dict(
            stop=dict(type='SurpassTeacher', metric='coco/bbox_mAP')))
    if run_by == 'pipeline':
        cfg.model.data_preprocessor.update(NOTHING)
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            loader.dataset.pipeline.insert(-1, as_transform(RGB))
    if teacher_by == 'pipeline':
        teacher['config']['model']['data_preprocessor'].update(NOTHING)
        teacher['config']['train_dataloader'] = dict(
            dataset=dict(pipeline=[
                dict(type='LoadImageFromFile'),
                as_transform(CAFFE),
                dict(type='PackDetInputs')
            ]))
        cfg.custom_hooks[0].teacher = teacher
    with monkeypatch.context() as patch:
        patch.setattr(SingleStageDetector, 'predict', note)
        train(cfg)
    return seen


@pytest.mark.parametrize('run_by, teacher_by', [('pipeline', 'preprocessor'),
                                                ('preprocessor', 'pipeline'),
                                                ('pipeline', 'pipeline')])
def test_the_teacher_sees_the_same_whoever_normalises(pictures, tmp_path,
                                                      monkeypatch, run_by,
                                                      teacher_by):
    expected, found = (
        seen_by_the_teacher(pictures, tmp_path / str(i), monkeypatch, *by)
        for i, by in enumerate((('preprocessor', ) * 2, (run_by, teacher_by))))
    assert len(expected) == len(found) == 3
    for a, b in zip(expected, found):
        assert torch.allclose(a, b, atol=1e-3)
