# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Who normalizes: the pipeline or the preprocessor, of run and teacher."""
from types import SimpleNamespace

import pytest
import torch
from mmcv.transforms import Normalize
from mmdet.models import SingleStageDetector
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner.runner import _SlicedDataset
from mmpretrain.models import ClsDataPreprocessor
from runs import train_watched
from torchvision import transforms
from toys import retinanet, write_pictures
from works_with import distilling, make_teacher

from mmw2s.distillation.pipelines import match_pipelines

RGB = dict(
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True)
CAFFE = dict(mean=[103.53, 116.28, 123.675], std=[1., 1., 2.])
NOTHING = dict(mean=None, std=None, bgr_to_rgb=False)


def as_transform(norm):
    norm = dict(norm)
    return dict(type='Normalize', to_rgb=norm.pop('bgr_to_rgb', False), **norm)


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
        w2s=dict(stop=dict(type='SurpassTeacher', metric='coco/bbox_mAP')))
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
        train_watched(cfg)
    return seen


@pytest.mark.slow
def test_the_teacher_sees_the_same_whoever_normalizes(pictures, tmp_path,
                                                      monkeypatch):
    of_each = [
        seen_by_the_teacher(pictures, tmp_path / f'{run_by}_{teacher_by}',
                            monkeypatch, run_by, teacher_by)
        for run_by in ('preprocessor', 'pipeline')
        for teacher_by in ('preprocessor', 'pipeline')
    ]
    expected = of_each[0]
    assert len(expected) > 1
    for found in of_each[1:]:
        assert len(found) == len(expected)
        for a, b in zip(expected, found):
            assert torch.allclose(a, b, atol=1e-3)


# -- without a run ---------------------------------------------------------


class DataSet:

    def __init__(self, *steps, inner=None):
        self.pipeline, self.dataset = SimpleNamespace(transforms=steps), inner


def matched(train, val=None, teacher=None, mean=None, student=None):
    """A teacher of such a config, matched with a run of such data sets."""
    mean, student = (dict(mean=m, std=m) if m else {} for m in (mean, student))
    found = SimpleNamespace(
        model=SimpleNamespace(data_preprocessor=ClsDataPreprocessor(**mean)),
        name='weak',
        cfg=Config({} if teacher is None else dict(
            train_pipeline=[dict(type='LoadImageFromFile'), *teacher])))
    loop = val and SimpleNamespace(dataloader=SimpleNamespace(dataset=val))
    match_pipelines(
        found,
        SimpleNamespace(
            train_dataloader=SimpleNamespace(dataset=train), val_loop=loop),
        ClsDataPreprocessor(**student))
    return found


NORM = Normalize([1., 2., 3.], [4., 5., 6.])
SAME = dict(type='Normalize', mean=[1, 2, 3], std=[4, 5, 6], to_rgb=True)
OTHER = dict(SAME, to_rgb=False)
TORCH = transforms.Normalize([.5] * 3, [.2] * 3)
TORCH_CFG = dict(type='torchvision/Normalize', mean=[.5] * 3, std=(.2, ) * 3)


@pytest.mark.parametrize(
    'train',
    [
        DataSet(NORM),
        DataSet(inner=DataSet([SimpleNamespace(transforms=[NORM])])),
        SimpleNamespace(datasets=[DataSet(NORM)]),
        _SlicedDataset(DataSet(NORM), 2),  # of num_batch_per_epoch
    ])
def test_a_normalization_is_found_wherever_it_stands(train):
    assert [n.name for n in matched(train).pipelines.train] == ['Normalize']


@pytest.mark.parametrize(
    'teacher, mean, expected', [
        (None, None, ['Normalize']),
        (None, [9.], []),
        ([], None, []),
        ([OTHER], None, ['Normalize']),
    ],
    ids=str)
def test_what_the_teachers_config_does_not_tell_follows_from_its_preprocessor(
        teacher, mean, expected):
    found = matched(DataSet(NORM), teacher=teacher, mean=mean).pipelines
    assert [n.name for n in found.teacher] == expected
    assert found.is_teachers_known is (teacher is not None)


@pytest.mark.parametrize('run, teacher', [(NORM, [SAME]), (TORCH, [TORCH_CFG]),
                                          (TORCH, None)])
def test_the_same_on_both_sides_needs_nothing(run, teacher):
    found = matched(DataSet(run), DataSet(run), teacher=teacher)
    assert found.pipelines.in_training() == ((), ())
    assert not found.model.data_preprocessor._forward_pre_hooks


def test_a_teacher_of_the_students_preprocessor_is_taken_for_its_equal():
    run = DataSet(transforms.ToTensor())
    same = matched(run, mean=[.5], student=[.5]).pipelines
    assert same.in_training() == ((), ())
    with pytest.raises(ValueError, match='ToTensor does cannot be undone'):
        matched(run, mean=[.5], student=[.4])


def test_the_order_of_channels_that_is_left_out_is_the_default():
    bgr = Normalize([1., 2., 3.], [4., 5., 6.], to_rgb=False)
    default = dict(type='Normalize', mean=[1, 2, 3], std=[4, 5, 6])
    for run, same in ((NORM, True), (bgr, False)):
        found = matched(DataSet(run), teacher=[default]).pipelines
        assert (found.in_training() == ((), ())) is same


class Clipped(Normalize):

    def transform(self, results):
        results = super().transform(results)
        return dict(results, img=results['img'].clip(-1, 1))


@pytest.mark.parametrize('run, teacher, mean', [
    (Clipped([1.], [2.]), None, [9.]),
    (TORCH, None, [9.]),
    (transforms.ToTensor(), None, [9.]),
    (TORCH, [SAME], None),
    (TORCH, [dict(TORCH_CFG, mean=[.4] * 3)], None),
    (NORM, [TORCH_CFG], None),
    (NORM, [dict(type='Albu', transforms=[dict(type='Normalize')])], None),
])
def test_what_cannot_be_undone_is_refused_by_name(run, teacher, mean):
    with pytest.raises(
            ValueError, match='training pipeline normalizes .* cannot be'):
        matched(DataSet(run), teacher=teacher, mean=mean)


def test_a_validation_that_normalizes_otherwise_is_put_right_for_the_score():
    teacher = matched(DataSet(), DataSet(NORM), mean=[9.])
    raw = torch.arange(12.).view(3, 2, 2)
    batch = dict(inputs=[
        torch.from_numpy(NORM(dict(
            img=raw.permute(1, 2, 0).numpy()))['img']).permute(2, 0, 1)
    ])
    preprocessor = teacher.model.data_preprocessor
    given = batch['inputs'][0].clone()
    assert torch.allclose(
        preprocessor(batch)['inputs'][0], (raw - 9) / 9, atol=1e-5)
    assert torch.equal(batch['inputs'][0], given)


def test_a_teacher_that_is_said_to_take_raw_images_is_told_of(capsys):
    MMLogger.get_instance('said')
    matched(DataSet(NORM), teacher=[])
    assert 'its config normalizes nowhere' in capsys.readouterr().out
