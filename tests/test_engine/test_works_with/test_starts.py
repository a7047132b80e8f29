# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A start with students and settings of other packages."""
import pytest
import torch
from builders import teacher_field
from mmengine.runner import Runner
from runs import find, rows
from tiny_classifiers import VIT, classifier
from tiny_classifiers import run_config as classifier_run
from toys import retinanet
from works_with import distilling

from mmw2s.engine import WeakTeacherDistillHook

START = dict(start=dict(type='Inherit'))


@pytest.fixture
def begin(pictures, tmp_path):
    """The runner of a started run before its first step, and the teacher's
    weights."""

    def run(model, num_classes=2, classes=('box', 'bar'), **w2s):
        teacher = teacher_field(
            retinanet(18, channels=8, num_classes=num_classes),
            tmp_path / 'teacher.pth',
            dataset_meta=dict(classes=classes))
        runner = Runner.from_cfg(
            distilling(
                pictures,
                tmp_path / 'run',
                teacher,
                model=model,
                w2s=dict(START, **w2s)))
        runner.train_loop.run = lambda: runner.call_hook('before_train')
        runner.train()
        given = torch.load(teacher['checkpoint'], weights_only=False)
        return runner, given['state_dict']

    return run


def test_shared_classes_are_on_record_and_a_free_scale_is_told(
        begin, tmp_path, capsys):
    # The data set has the classes box and bar.
    runner, given = begin(retinanet(18, channels=8), 3, ('bar', 'ball', 'Box'))
    name = 'bbox_head.retina_cls.weight'
    own = runner.model.state_dict()[name].unflatten(0, (3, 2))
    assert torch.equal(own, given[name].unflatten(0, (3, 3))[:, [2, 0]])
    row, = rows(tmp_path / 'run', 'start')
    assert row['class_rows'] == 2 * 3 * 2  # weight and bias
    started = find(runner, WeakTeacherDistillHook).session.starting.started
    assert 'in 12 rows of the 2 classes' in str(started)
    assert 'PKDLoss leaves the mean and scale' in capsys.readouterr().out


def test_frozen_stages_take_weights_and_stay_frozen(begin):
    model = retinanet(18, channels=8)
    model['backbone']['frozen_stages'] = 1
    runner, given = begin(model, distill=[], stop=None)
    for name, weights in runner.model.named_parameters():
        assert torch.equal(weights, given[name]), name
        frozen = name.startswith(
            ('backbone.conv1', 'backbone.bn1', 'backbone.layer1'))
        assert weights.requires_grad != frozen, name


def test_a_student_that_is_tuned_by_lora_is_refused(tmp_path):
    vit = classifier(
        type='VisionTransformerClsHead',
        backbone=VIT,
        neck=None,
        in_channels=16)
    hook = dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(config=dict(model=vit), checkpoint=None),
        **START)
    model = dict(
        type='LoRAModel', module=vit, rank=2, targets=[dict(type='.*qkv')])
    cfg = classifier_run(tmp_path, model=model, hooks=[hook])
    with pytest.raises(ValueError, match='LoRAModel.*leave start out'):
        Runner.from_cfg(cfg).train()


@pytest.mark.parametrize('distill', [None, []])
def test_two_detectors_in_one_are_refused(begin, distill):
    detector = retinanet(18, channels=8)
    model = dict(
        type='SemiBaseDetector',
        detector=detector,
        semi_train_cfg=dict(freeze_teacher=True),
        semi_test_cfg=dict(predict_on='teacher'),
        data_preprocessor=dict(
            type='MultiBranchDataPreprocessor',
            data_preprocessor=detector['data_preprocessor']))
    with pytest.raises(
            ValueError,
            match='SemiBaseDetector of two .*model.detector.init_cfg'):
        begin(model, distill=distill)
