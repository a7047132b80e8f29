# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Diffusion models through the Runner."""
import copy
import json
import uuid

import pytest
import tiny_extractor  # noqa: F401
import torch
import torch.nn.functional as F
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tiny_diffusion import build, diffusion, run_config

from mmw2s.records.files import EVENTS

FID = dict(
    type='FID',
    num_samples=16,
    reference=dict(type='Digits', split='train', indices=64),
    extractor=dict(type='Corners', dims=8))


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    """The hook's `teacher` field, with a checkpoint that MMEngine wrote."""
    work_dir = tmp_path_factory.mktemp('teacher')
    train(run_config(work_dir, iters=24, model=diffusion(8)))
    return dict(
        config=dict(model=diffusion(8)),
        checkpoint=str(work_dir / 'iter_24.pth'))


def train(cfg, *hooks):
    cfg.experiment_name = uuid.uuid4().hex
    runner = Runner.from_cfg(cfg)
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    return runner


def w2s(teacher, **fields):
    return dict(type='WeakTeacherDistillHook', teacher=teacher, **fields)


def rows(work_dir, event):
    with open(work_dir / EVENTS) as file:
        found = [json.loads(line) for line in file]
    return [row for row in found if row['event'] == event]


class FirstStep(Hook):
    """Notes all that the first training step begins with, and its losses."""

    priority = 'VERY_LOW'

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 0:
            self.model = copy.deepcopy(runner.model)
            self.batch = copy.deepcopy(data_batch)
            self.state = torch.get_rng_state()

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        if runner.iter == 0:
            self.losses = {k: v.detach() for k, v in outputs.items()}


def test_losses_of_both_are_those_of_a_plain_loop(teacher, tmp_path):
    step = FirstStep()
    cfg = run_config(
        tmp_path,
        4,
        hooks=[w2s(teacher, schedule=dict(type='Constant', value=1.))])
    train(cfg, step)

    student = step.model.denoiser
    weights = torch.load(teacher['checkpoint'], weights_only=False)
    weak = build(diffusion(8))
    weak.load_state_dict(weights['state_dict'])
    images = step.batch['inputs'].float() / 127.5 - 1
    torch.set_rng_state(step.state)
    noise, t = torch.randn_like(images), torch.randint(100, (8, ))
    left = torch.linspace(1e-4, 0.02, 100).neg().add(1).cumprod(0)[t]
    left = left.view(-1, 1, 1, 1)
    noisy = left.sqrt() * images + (1 - left).sqrt() * noise
    of_student = student(noisy, t).sample
    of_teacher = weak.denoiser.eval()(noisy, t).sample
    torch.testing.assert_close(step.losses['loss_denoising'],
                               F.mse_loss(of_student, noise).detach())
    torch.testing.assert_close(step.losses['loss_kd_denoising'],
                               F.mse_loss(of_student, of_teacher).detach())
    # It is better than the student, which has just begun.
    assert F.mse_loss(of_teacher, noise) < F.mse_loss(of_student, noise)


def test_teacher_alone_is_enough_and_ends_when_it_is_surpassed(
        teacher, tmp_path):
    seen = []

    class Losses(Hook):

        def after_train_iter(self, runner, batch_idx, data_batch, outputs):
            seen.append(set(outputs))

    cfg = run_config(
        tmp_path,
        60,
        model=diffusion(16),
        hooks=[
            w2s(teacher, schedule=dict(type='Constant', value=1.)),
            dict(type='EMAHook', momentum=0.2)
        ],
        **{'optim_wrapper.optimizer.lr': 5e-3})
    runner = train(cfg, Losses())
    (known, ), (stop, ) = (rows(tmp_path, e) for e in ('teacher', 'stop'))
    assert known['metric'] == 'diffusion/denoising_mse'
    assert 'surpassed the teacher in 2 validations' in stop['reason']
    assert stop['student'] < known['score'] and stop['iter'] < 30
    kd = ['loss_kd_denoising' in keys for keys in seen]
    assert all(kd[:stop['iter']]) and not any(kd[stop['iter']:])
    assert len(seen) == 60
    assert all(k.startswith('denoiser.') for k in runner.model.state_dict())


def test_teacher_alone_fades_by_itself(teacher, tmp_path):
    train(run_config(tmp_path, 20, hooks=[w2s(teacher)]))
    stop, = rows(tmp_path, 'stop')
    assert stop['iter'] == 6 and 'reached 0' in stop['reason']


class Noise(Hook):
    """Keeps the random numbers' state, or goes on from one that it is told.

    MMEngine does not, so that a resumed run draws other noise.
    """

    def __init__(self, resume_from=None):
        self.resume_from, self.states = resume_from, {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if self.resume_from is not None:
            torch.set_rng_state(self.resume_from[runner.iter])
            self.resume_from = None
        self.states[runner.iter] = torch.get_rng_state()


def test_with_the_same_noise_a_resumed_run_is_the_unbroken_one(
        teacher, tmp_path):
    entry = dict(
        knowledge=dict(type='DenoisingFeatures', adapter='trained'),
        loss=dict(type='PKDLoss'))
    cfg = run_config(
        tmp_path,
        12,
        hooks=[
            w2s(
                teacher,
                distill=[entry],
                schedule=dict(type='Constant', value=1.),
                # Beaten from the first validation on.
                stop=dict(
                    type='SurpassTeacher',
                    metric='diffusion/denoising_mse',
                    teacher_score=9.,
                    latest=None)),
            dict(
                type='EMAHook',
                ema_type='MomentumAnnealingEMA',
                momentum=0.01,
                gamma=2)
        ],
        **{'default_hooks.checkpoint.interval': 4})

    def decisions():
        return rows(tmp_path, 'val'), rows(tmp_path, 'stop')[0]['iter']

    noise = Noise()
    train(copy.deepcopy(cfg), noise)
    whole = torch.load(tmp_path / 'iter_12.pth', weights_only=False)
    decided = decisions()
    assert decided[1] == 8 and whole['ema_state_dict']['steps'] == 12
    cfg.resume = True
    for cut in (8, 4):  # after the stop, and before it
        cfg.load_from = str(tmp_path / f'iter_{cut}.pth')
        train(copy.deepcopy(cfg), Noise(noise.states))
        resumed = torch.load(tmp_path / 'iter_12.pth', weights_only=False)
        for key in ('state_dict', 'ema_state_dict', 'optimizer'):
            torch.testing.assert_close(
                resumed[key], whole[key], rtol=0, atol=0, msg=key)
        assert decisions() == decided


def test_strength_0_changes_nothing(teacher, tmp_path):
    off = w2s(teacher, schedule=dict(type='Constant', value=0.))
    states = [
        train(run_config(tmp_path / name, 6, hooks)).model.state_dict()
        for name, hooks in (('with', [off]), ('without', []))
    ]
    assert all(
        torch.equal(states[0][key], states[1][key]) for key in states[1])


def test_the_teacher_can_be_surpassed_by_fid(teacher, tmp_path):
    cfg = run_config(
        tmp_path,
        4,
        hooks=[
            w2s(teacher,
                schedule=dict(type='Constant', value=1.),
                stop=dict(
                    type='SurpassTeacher',
                    metric='diffusion/fid_16_ddim4',
                    latest=None))
        ],
        val_evaluator=[dict(type='DenoisingError'), FID])
    cfg.val_dataloader.dataset.pipeline = [dict(type='PackImage', generate=16)]
    train(cfg)
    known, = rows(tmp_path, 'teacher')
    assert known['metric'] == 'diffusion/fid_16_ddim4' and known['score'] > 0
    assert set(rows(tmp_path, 'val')[0]['metrics']) == {
        'diffusion/denoising_mse', 'diffusion/fid_16_ddim4'
    }


def test_an_epoch_is_that_of_all_ranks(teacher, tmp_path, monkeypatch):
    # An infinite sampler tells each rank the length of the whole data set.
    monkeypatch.setattr('mmw2s.engine.run_facts.get_world_size', lambda: 2)
    hook = w2s(
        teacher,
        schedule=dict(type='Constant', value=1.),
        stop=dict(type='At', epoch=1))
    train(run_config(tmp_path, 8, hooks=[hook]))
    stop, = rows(tmp_path, 'stop')
    assert (stop['iter'], stop['epoch']) == (4, 1)


def test_surpass_on_train_needs_no_validation(teacher, tmp_path):
    cfg = run_config(
        tmp_path,
        6,
        hooks=[
            w2s(teacher,
                schedule=dict(type='Constant', value=1.),
                stop=dict(type='SurpassOnTrain', interval=2, latest=None))
        ])
    for key in ('val_dataloader', 'val_evaluator', 'val_cfg'):
        cfg.pop(key)
    train(cfg)
    looks = rows(tmp_path, 'train')
    assert [look['iter'] for look in looks] == [2, 4, 6]
    assert all(0 < look['teacher'] < 2 for look in looks)


def of_classes(folder, model, classes):
    """The hook's `teacher` field for a model trained on such classes."""
    path = str(folder / 'named.pth')
    meta = dict(dataset_meta=dict(classes=classes))
    torch.save(dict(state_dict=build(model).state_dict(), meta=meta), path)
    return dict(config=dict(model=model), checkpoint=path)


@pytest.mark.parametrize('knowledge, loss', [('Denoising', 'MSEKDLoss'),
                                             ('DenoisingFeatures', 'PKDLoss')])
def test_classes_in_another_order_end_a_conditional_run_before_training(
        tmp_path, knowledge, loss):
    entry = dict(knowledge=dict(type=knowledge), loss=dict(type=loss))
    teacher = of_classes(tmp_path, diffusion(8, 10), tuple('9876543210'))
    cfg = run_config(
        tmp_path,
        model=diffusion(8, 10),
        hooks=[w2s(teacher, distill=[entry])])
    with pytest.raises(ValueError, match="they differ at 0: '9' against '0'"):
        train(cfg)


def test_what_classes_are_called_is_nothing_to_an_unconditional_pair(tmp_path):
    teacher = of_classes(tmp_path, diffusion(8), ('cat', 'dog'))
    train(run_config(tmp_path, 4, hooks=[w2s(teacher)]))
    known, = rows(tmp_path, 'teacher')
    assert known['metric'] == 'diffusion/denoising_mse'


def test_a_teacher_of_other_images_ends_the_run_before_training(tmp_path):
    other = dict(
        config=dict(model=diffusion(denoiser=dict(sample_size=16))),
        checkpoint=None)
    with pytest.raises(ValueError, match='same noisy images'):
        train(run_config(tmp_path, hooks=[w2s(other)]))
    assert not list(tmp_path.glob('*.pth'))
