# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os.path as osp
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS

import mmw2s
from mmw2s.distillation import FrozenTeacher
from mmw2s.distillation.knowledge import Denoising
from mmw2s.distillation.recipes import (default_distill, default_schedule,
                                        default_stop)
from mmw2s.records.targets import infer_rule
from mmw2s.registry import STOP_RULES
from mmw2s.utils.hook_configs import hook_configs as hooks

pytest.importorskip('diffusers')

ROOT = Path(__file__).parents[2] / 'configs'
CONFIGS = [
    'w2s_ddpm_cifar10.py', *sorted(
        p.relative_to(ROOT).as_posix() for p in ROOT.glob('diffusion/*.py'))
]
#: Its teacher is a classifier.
ENCODER = 'diffusion/w2s_ddpm_slim_cifar10_repa.py'
W2S = [
    name for name in CONFIGS
    if osp.basename(name).startswith('w2s_') and name != ENCODER
]


def load(name):
    return Config.fromfile(mmw2s.config(name))


def teacher_of(cfg):
    hook, = hooks(cfg, 'WeakTeacherDistillHook')
    return Config.fromfile(hook.teacher.config)


def build(cfg):
    with torch.device('meta'):  # shapes without the time to fill them
        denoiser = MODELS.build(cfg.model.denoiser)
    size = sum(p.numel() for p in denoiser.parameters())
    model = cfg.model.copy()
    widths = [8 * (w // w) for w in model.denoiser.block_out_channels]
    model.denoiser = dict(
        model.denoiser,
        block_out_channels=widths,
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=4)
    return MODELS.build(model), size


@pytest.mark.parametrize('name', CONFIGS)
def test_config_parses_and_a_narrow_model_of_it_takes_a_batch(name):
    cfg = load(name)
    model, _ = build(cfg)
    labels = None if model.num_classes is None else torch.tensor([1])
    images = torch.zeros(1, *model.image_shape)
    assert model.denoise(images, torch.tensor([3]), labels).isfinite().all()
    written = Config.fromstring(cfg.pretty_text, '.py')
    assert written.to_dict() == cfg.to_dict()
    assert len(hooks(cfg, 'TimeToTargetHook')) == 1


@pytest.mark.parametrize('name', CONFIGS)
def test_loops_and_hooks_go_by_iterations(name):
    cfg = load(name)
    assert not cfg.train_cfg.by_epoch and not cfg.log_processor.by_epoch
    assert cfg.train_dataloader.sampler.type == 'InfiniteSampler'
    checkpoint = cfg.default_hooks.checkpoint
    assert not checkpoint.by_epoch
    assert cfg.train_cfg.max_iters % checkpoint.interval == 0
    assert cfg.default_hooks.ema.type == 'EMAHook'
    # A test may generate images where validations are spared that.
    val, test = (
        e if isinstance(e, list) else [e]
        for e in (cfg.val_evaluator, cfg.test_evaluator))
    assert test[:len(val)] == val
    if test == val:
        assert cfg.test_dataloader == cfg.val_dataloader


@pytest.mark.parametrize('name', CONFIGS)
def test_as_many_images_are_generated_as_are_judged(name):
    cfg = load(name)
    for evaluator, loader in ((cfg.val_evaluator, cfg.val_dataloader),
                              (cfg.test_evaluator, cfg.test_dataloader)):
        metrics = evaluator if isinstance(evaluator, list) else [evaluator]
        wanted = {m.num_samples for m in metrics if m.type == 'FID'}
        made = loader.dataset.get('pipeline', [{}])[-1].get('generate')
        assert wanted == ({made} if made else set())


@pytest.mark.parametrize('name', W2S)
def test_student_has_one_smaller_teacher_that_fits_it(name):
    student, teacher = load(name), teacher_of(load(name))
    assert not hooks(teacher, 'WeakTeacherDistillHook')
    (student_model,
     student_size), (teacher_model,
                     teacher_size) = map(build, (student, teacher))
    Denoising().check(student_model, teacher_model)
    assert teacher_size < student_size
    assert teacher.val_dataloader == student.val_dataloader
    assert teacher.val_evaluator == student.val_evaluator


@pytest.mark.parametrize('name', W2S)
def test_what_the_hook_chooses_is_what_was_measured_and_fits_the_run(name):
    cfg = load(name)
    hook, = hooks(cfg, 'WeakTeacherDistillHook')
    model, _ = build(cfg)
    last = teacher_of(cfg).train_cfg.max_iters
    if hook.get('distill') == []:  # a start, from a teacher of half its run
        assert hook.start.type == 'Grow'
        assert hook.teacher.checkpoint.endswith(f'/iter_{last // 2}.pth')
        return
    assert not {'distill', 'schedule', 'task_weight'} & set(hook)
    assert default_distill(model, model) == [
        dict(
            knowledge=dict(type='Denoising'),
            loss=dict(type='MSEKDLoss', loss_weight=1.))
    ]
    # Full up to 15 % of the run, and none from 30 % on.
    assert default_schedule(model) == dict(
        type='WarmupHoldDecay', warmup=0.02, hold=0.13, decay=0.15, unit='run')
    stop = STOP_RULES.build(hook.get('stop') or default_stop(True, 1))
    metrics = cfg.val_evaluator
    metrics = metrics if isinstance(metrics, list) else [metrics]
    kinds = {metric.type for metric in metrics}
    # By the error, also where it would take an FID by itself.
    assert kinds == {'DenoisingError'} or \
        stop.metric == 'diffusion/denoising_mse'
    assert hook.teacher.checkpoint == (
        f'work_dirs/{Path(hook.teacher.config).stem}/iter_{last}.pth')
    loop = cfg.train_cfg
    assert stop.latest * loop.max_iters // loop.val_interval >= \
        stop.consecutive


@pytest.mark.parametrize('name', W2S)
def test_targets_are_of_metrics_that_the_validation_gives(name):
    cfg = load(name)
    timing, = hooks(cfg, 'TimeToTargetHook')
    (metric, values), = timing.targets.items()
    assert infer_rule(metric) == 'less' and values == sorted(values)[::-1]
    if metric == 'diffusion/denoising_mse':
        return
    fid, = (m for m in cfg.val_evaluator if m.type == 'FID')
    asked, = (
        t for t in cfg.val_dataloader.dataset.pipeline
        if t.type == 'PackImage')
    assert asked.generate == fid.num_samples == 10000
    model, _ = build(cfg)
    assert metric == f'diffusion/fid_10k_{model.sampler_name}'


def test_the_papers_pairs_have_its_widths_and_blocks():
    for name, width, blocks in (('diffusion/ddpm_64-2_cifar10.py', 64,
                                 2), ('w2s_ddpm_cifar10.py', 128, 3),
                                ('diffusion/w2s_ddpm_160-3_cifar10.py', 160,
                                 3)):
        denoiser = load(name).model.denoiser
        assert denoiser.block_out_channels[0] == width
        assert denoiser.layers_per_block == blocks


def test_maps_of_the_encoder_are_as_large_as_those_that_learn_from_it():
    cfg = load(ENCODER)
    hook, = hooks(cfg, 'WeakTeacherDistillHook')
    teacher = FrozenTeacher.from_cfg(dict(hook.teacher, checkpoint=None))
    student = MODELS.build(cfg.model)
    entry, = hook.distill
    sizes = {}
    for model, key in ((student, 'module'), (teacher.model, 'teacher_module')):
        name = entry.knowledge[key]
        model.get_submodule(name).register_forward_hook(
            lambda *call, name=name: sizes.update({name: call[2].shape[-2:]}))
    images = torch.zeros(1, 3, 32, 32)
    teacher.model.backbone(images)
    student.denoise(images, torch.tensor([3]))
    assert len(sizes) == 2 and {*sizes.values()} == {(8, 8)}


def test_the_digits_need_no_download():
    pytest.importorskip('sklearn')
    cfg = load('diffusion/w2s_ddpm_digits.py')
    assert len(DATASETS.build(cfg.train_dataloader.dataset)) == 1437
