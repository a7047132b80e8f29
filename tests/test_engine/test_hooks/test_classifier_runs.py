# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""mmpretrain's classifiers through the Runner."""
import os.path as osp

import pytest
import torch
from runs import rows, scalars, train
from tiny_classifiers import NORM, classifier, run_config

CAFFE = dict(mean=[100., 110., 120.], std=[50., 60., 70.], to_rgb=True)
MIXED = dict(
    NORM,
    batch_augments=dict(augments=[
        dict(type='Mixup', alpha=0.8),
        dict(type='CutMix', alpha=1.)
    ]))


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    """The hook's `teacher` field, with a checkpoint that MMEngine wrote."""
    work_dir = tmp_path_factory.mktemp('teacher')
    model = classifier(data_preprocessor=CAFFE)
    train(run_config(work_dir, epochs=1, model=model))
    return dict(
        config=dict(default_scope='mmpretrain', model=model),
        checkpoint=str(work_dir / 'epoch_1.pth'))


def hook(teacher, **fields):
    return dict(type='WeakTeacherDistillHook', teacher=teacher, **fields)


def test_a_teacher_alone_is_enough_and_the_surpassed_one_is_taken_off(
        teacher, tmp_path):
    cfg = run_config(tmp_path, epochs=12, hooks=[hook(teacher)])
    cfg.custom_hooks[0].schedule = dict(type='Constant', value=1.)
    runner = train(cfg)
    (scored, ), (stop, ) = rows(tmp_path, 'teacher'), rows(tmp_path, 'stop')
    assert scored['metric'] == 'accuracy/top1'
    assert 'surpassed the teacher in 2 validations' in stop['reason']
    assert stop['student'] > stop['teacher'] == scored['score']
    logged = ['loss_kd_logits' in row for row in scalars(runner)]
    assert logged == [True] * stop['iter'] + [False] * (48 - stop['iter'])
    first = scalars(runner)[0]
    assert first['w2s/temperature_logits'] == 6.


def mixed(cfg):
    """mixup and CutMix, in the student's data preprocessor."""
    cfg.model.data_preprocessor.batch_augments = MIXED['batch_augments']


def augmented(cfg):
    """All that happens before, and what else is usual."""
    cfg.train_dataloader.sampler = dict(type='RepeatAugSampler')
    cfg.train_dataloader.dataset.pipeline.insert(
        0,
        dict(
            type='RandAugment',
            policies='timm_increasing',
            num_policies=2,
            total_level=10,
            magnitude_level=9))
    cfg.model.head.loss = dict(type='LabelSmoothLoss', label_smooth_val=0.1)
    cfg.custom_hooks.append(dict(type='EMAHook'))


@pytest.mark.parametrize('augment', [mixed, augmented])
def test_the_teacher_sees_the_very_images_that_augmentation_made(
        teacher, tmp_path, monkeypatch, augment):
    seen, handles = [], []

    def watch(self, student, teacher, *args):
        for model, name in ((student, 'student'), (teacher.model, 'teacher')):
            handles.append(
                model.backbone.register_forward_pre_hook(
                    lambda _, inputs, name=name: seen.append(
                        (name, inputs[0].clone()))))
        original(self, student, teacher, *args)

    from mmw2s.distillation.distiller import Distiller
    original = Distiller.__init__
    monkeypatch.setattr(Distiller, '__init__', watch)
    cfg = run_config(
        tmp_path,
        epochs=1,
        hooks=[
            hook(
                teacher,
                schedule=dict(type='Constant', value=1.),
                stop=dict(type='At', iter=100))
        ])
    augment(cfg)
    train(cfg)
    pairs = list(zip(seen[::2], seen[1::2]))[:4]
    mean, std = torch.tensor(CAFFE['mean']), torch.tensor(CAFFE['std'])
    mean, std = mean.view(3, 1, 1), std.view(3, 1, 1)
    for (first, given), (second, converted) in pairs:
        assert (first, second) == ('student', 'teacher')
        pixels = (converted * std + mean).flip(1)
        torch.testing.assert_close(pixels, given * 60 + 120, rtol=0, atol=1e-3)
    # They were mixed: of whole numbers, averages are none.
    parts = [(given * 60 + 120).frac().abs() for (_, given), _ in pairs]
    fractions = any(((part > 0.01) & (part < 0.99)).any() for part in parts)
    assert fractions is (augment is mixed)


def test_it_is_the_averaged_student_that_has_to_surpass_the_teacher(
        teacher, tmp_path):
    # Of so slow an average, which stays what it was before training.
    ema = dict(type='EMAHook', momentum=1e-9)
    cfg = run_config(tmp_path, epochs=12, hooks=[hook(teacher), ema])
    cfg.custom_hooks[0].update(
        schedule=dict(type='Constant', value=1.),
        stop=dict(type='SurpassTeacher', latest=None))
    train(cfg)
    scores = [row['metrics']['accuracy/top1'] for row in rows(tmp_path, 'val')]
    assert len(scores) == 12 and not rows(tmp_path, 'stop')


def test_soft_labels_of_mixup_reach_a_loss_that_needs_labels(
        teacher, tmp_path, monkeypatch):
    from mmw2s.models import DKDLoss
    given, compute = [], DKDLoss.compute

    def spy(self, *args, target):
        given.append(target)
        return compute(self, *args, target=target)

    monkeypatch.setattr(DKDLoss, 'compute', spy)
    train(
        run_config(
            tmp_path,
            epochs=1,
            model=classifier(8, data_preprocessor=MIXED),
            hooks=[
                hook(
                    teacher,
                    distill=[
                        dict(
                            knowledge=dict(type='ClassLogits'),
                            loss=dict(type='DKDLoss', loss_weight='auto'))
                    ],
                    schedule=dict(type='Constant', value=1.),
                    stop=dict(type='At', iter=100))
            ]))
    assert len(given) == 4
    for target in given:
        assert target.shape == (4, 3)
        torch.testing.assert_close(target.sum(1), torch.ones(4))
    assert any(((target > 0) & (target < 1)).any() for target in given)


def test_a_dynamic_temperature_is_logged_and_survives_a_resume(
        teacher, tmp_path):
    distill = [
        dict(
            knowledge=dict(type='ClassLogits'),
            loss=dict(type='KDLoss', loss_weight='auto'),
            temperature=dict(type='DynamicTemperature', start=5., low=1.))
    ]
    runs = {}
    for name in ('unbroken', 'cut'):
        cfg = run_config(
            tmp_path / name,
            epochs=3,
            hooks=[
                hook(
                    teacher,
                    distill=distill,
                    schedule=dict(type='Constant', value=1.),
                    stop=dict(type='At', iter=100))
            ])
        cfg.train_dataloader.sampler.shuffle = False
        if name == 'cut':
            cfg.resume = True
            cfg.load_from = str(tmp_path / 'unbroken' / 'epoch_2.pth')
        runs[name] = [
            row['w2s/temperature_logits'] for row in scalars(train(cfg))
        ]
    whole, rest = runs.values()
    assert whole[0] == 5. and 1 < whole[-1] < whole[2] < 5
    assert rest == whole[8:]


def test_training_losses_can_decide_for_classifiers_too(teacher, tmp_path):
    stop = dict(type='SurpassOnTrain', interval=2, min_looks=2, margin=-99.)
    train(
        run_config(
            tmp_path,
            model=classifier(8, data_preprocessor=MIXED),
            hooks=[
                hook(
                    teacher,
                    schedule=dict(type='Constant', value=1.),
                    stop=stop)
            ]))
    assert rows(tmp_path, 'stop')[0]['iter'] == 4


def untrained(model, scope='mmpretrain'):
    return dict(config=dict(default_scope=scope, model=model), checkpoint=None)


def test_a_teacher_of_another_task_is_refused(tmp_path):
    from toys import retinanet
    detector = untrained(retinanet(18), 'mmdet')
    with pytest.raises(ValueError, match='teacher .* has no module "head"'):
        train(run_config(tmp_path, hooks=[hook(detector)]))


@pytest.mark.parametrize(
    'stop',
    [
        dict(type='SurpassTeacher'),  # scores it before training
        dict(type='At', iter=3),
    ])
def test_a_teacher_of_another_input_size_is_refused_by_name(tmp_path, stop):
    mixer = classifier(
        backbone=dict(
            type='MlpMixer',
            arch=dict(
                embed_dims=16,
                num_layers=1,
                tokens_mlp_dims=8,
                channels_mlp_dims=8),
            img_size=32,
            patch_size=4),
        neck=dict(type='GlobalAveragePooling', dim=1),
        in_channels=16)
    message = r'teacher \S+ cannot take the images .*\(32, 32\)'
    with pytest.raises(ValueError, match=message):
        train(run_config(tmp_path, hooks=[hook(untrained(mixer), stop=stop)]))


def test_a_teacher_of_other_channels_is_named(tmp_path):
    grey = classifier(
        data_preprocessor=dict(mean=[120.], std=[60.]),
        backbone=dict(type='LeNet5'),
        neck=None,
        in_channels=84)
    message = r'teacher \S+ cannot take the images .*Given groups=1.* other'
    with pytest.raises(ValueError, match=message):
        train(run_config(tmp_path, hooks=[hook(untrained(grey))]))


def test_a_student_that_is_tuned_by_lora_is_distilled(tmp_path, teacher):
    vit = classifier(
        type='VisionTransformerClsHead',
        backbone=dict(
            type='VisionTransformer',
            arch=dict(
                embed_dims=16,
                num_layers=2,
                num_heads=2,
                feedforward_channels=16),
            img_size=16,
            patch_size=4),
        neck=None,
        in_channels=16)
    # The teacher's layers of that name are its own.
    model = dict(
        type='LoRAModel', module=vit, rank=2, targets=[dict(type='.*qkv')])
    runner = train(run_config(tmp_path, model=model, hooks=[hook(teacher)]))
    assert ['loss_kd_logits' in row
            for row in scalars(runner)[:2]] == [True] * 2
    assert set(
        torch.load(tmp_path / 'epoch_2.pth',
                   weights_only=False)['state_dict']) == set(
                       runner.model.state_dict())


def test_a_teacher_of_more_classes_is_scored_on_the_students(
        tmp_path, teacher):
    names = ('ant', 'elk', 'cat', 'fox', 'dog')
    model = classifier(num_classes=5, data_preprocessor=CAFFE)
    checkpoint = torch.load(teacher['checkpoint'], weights_only=False)
    weights = checkpoint['state_dict']
    # The teacher of three classes with two more, that are always likelier.
    wide = dict(weights=torch.zeros(5, 32), bias=torch.full((5, ), 99.))
    for i, column in ((2, 0), (4, 1), (1, 2)):  # cat, dog, elk
        wide['weights'][i] = weights['head.fc.weight'][column]
        wide['bias'][i] = weights['head.fc.bias'][column]
    weights['head.fc.weight'], weights['head.fc.bias'] = wide.values()
    checkpoint['meta']['dataset_meta']['classes'] = names
    torch.save(checkpoint, tmp_path / 'wide.pth')
    wide = dict(
        config=dict(default_scope='mmpretrain', model=model),
        checkpoint=str(tmp_path / 'wide.pth'))
    for name, given in (('plain', teacher), ('wide', wide)):
        train(run_config(tmp_path / name, epochs=1, hooks=[hook(given)]))
    plain, matched = (
        rows(tmp_path / name, 'teacher')[0]['score']
        for name in ('plain', 'wide'))
    assert matched == plain


@pytest.mark.parametrize('own, raises', [(1., True), (float('nan'), False)])
def test_only_a_distillation_loss_that_is_not_finite_ends_the_run(
        teacher, tmp_path, monkeypatch, own, raises):
    # mmpretrain's heads call their loss as the sum of all is called.
    monkeypatch.setattr('mmw2s.models.losses.KDLoss.compute',
                        lambda self, student, *_: student.sum() * float('nan'))
    monkeypatch.setattr(
        'mmpretrain.models.heads.LinearClsHead.loss',
        lambda self, feats, _: dict(loss=self(feats).sum() * own))
    cfg = run_config(
        tmp_path,
        epochs=1,
        hooks=[hook(teacher, stop=dict(type='At', iter=3))])
    if raises:
        with pytest.raises(FloatingPointError, match='loss_kd_logits is not'):
            train(cfg)
    else:  # the gradient scaler's affair
        train(cfg)


def test_a_weight_of_the_task_is_logged_in_full_and_fades(teacher, tmp_path):
    cfg = run_config(
        tmp_path,
        epochs=1,
        model=classifier(8, type='StackedLinearClsHead', mid_channels=[8]),
        hooks=[
            hook(
                teacher,
                task_weight=0.,
                schedule=dict(
                    type='WarmupHoldDecay', hold=1, decay=1, unit='iter'))
        ])
    cfg.log_level = 'INFO'
    cfg.default_hooks.logger.interval = 1
    runner = train(cfg)
    losses = [row['loss'] for row in scalars(runner)]
    log = open(osp.join(runner.log_dir, f'{runner.timestamp}.log')).read()
    assert 'task_weight=0.0' in log
    assert losses[0] == 0 < losses[2]
