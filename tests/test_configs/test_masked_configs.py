# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import mmpretrain.models  # noqa: F401
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import mmw2s
from mmw2s.distillation import FrozenTeacher
from mmw2s.distillation.distiller import Distiller
from mmw2s.distillation.schedules import Constant
from mmw2s.distillation.terms import build_terms


def load(name):
    return Config.fromfile(mmw2s.config(f'masked/{name}.py'))


def build(cfg):
    init_default_scope('mmpretrain')
    return MODELS.build(cfg.model)


@pytest.fixture(scope='module')
def student():
    model = build(load('w2s_mae_cifar10'))
    model.init_weights()
    return model.train()


def test_the_student_is_larger_than_its_teacher(student):
    sizes = [
        sum(p.numel() for p in model.backbone.parameters())
        for model in (student, build(load('mae-slim_cifar10')))
    ]
    assert sizes[0] > 2 * sizes[1]


def test_its_entry_compares_each_patch_of_the_images(student, tmp_path):
    weak = load('mae-slim_cifar10')
    torch.save(dict(state_dict=build(weak).state_dict()), tmp_path / 't.pth')
    hook = load('w2s_mae_cifar10').default_hooks.w2s
    distiller = Distiller(student, FrozenTeacher(weak,
                                                 str(tmp_path / 't.pth')),
                          build_terms(hook.distill), Constant(1.))
    distiller.bind(100, 10)
    distiller.attach()
    distiller.step(0)
    images = torch.randn(2, 3, 32, 32)
    seen = []
    compare = distiller.compare
    distiller.compare = lambda *args: (seen.append(args[1]), compare(*args))[1]
    losses = student(images, [None] * 2, mode='loss')
    distiller.remove()
    pair, = seen[-1]
    assert pair.teacher.shape[:2] == (2, 64)  # the width, and 8 x 8 patches
    assert pair.teacher.shape[2:].numel() == 64
    key, = (name for name in losses if name.startswith('loss_kd'))
    assert torch.isfinite(losses[key]) and losses[key].requires_grad


def test_the_probe_reads_the_students_encoder_and_trains_its_head_alone(
        student, tmp_path):
    torch.save(dict(state_dict=student.state_dict()), tmp_path / 's.pth')
    cfg = load('mae_probe_cifar10')
    cfg.model.backbone.init_cfg.checkpoint = str(tmp_path / 's.pth')
    probe = build(cfg)
    probe.init_weights()
    own = student.backbone.state_dict()
    # The norm of the mean over the patches is the probe's own.
    own.update({'ln2.weight': torch.ones(96), 'ln2.bias': torch.zeros(96)})
    for name, value in probe.backbone.state_dict().items():
        assert torch.equal(value, own[name]), name
    trained = {name for name, p in probe.named_parameters() if p.requires_grad}
    assert trained == {'head.fc.weight', 'head.fc.bias'}
