# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os
from pathlib import Path

import pytest
import torch
import torch.distributed as torch_dist
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from ranks import environment

import mmw2s
from mmw2s.engine.launch import (enable_amp, load_config, remove_distillation,
                                 setup_launcher, shut_down_processes)

needs_no_gpu = pytest.mark.skipif(
    torch.cuda.is_available(), reason='what is done without an accelerator')


@pytest.mark.parametrize('kind', [
    'WeakTeacherDistillHook', 'mmw2s.WeakTeacherDistillHook',
    mmw2s.WeakTeacherDistillHook
])
def test_the_hook_is_removed_whichever_way_its_type_is_written(kind):
    other = dict(type='TimeToTargetHook', targets={})
    cfg = Config(
        dict(
            custom_hooks=[dict(type=kind, teacher='x.py'), other],
            default_hooks=dict(
                w2s=dict(type=kind), timer=dict(type='IterTimerHook'))))
    remove_distillation(cfg)
    assert cfg.custom_hooks == [other]
    assert cfg.default_hooks == dict(timer=dict(type='IterTimerHook'))


def test_a_subclass_of_the_hook_is_removed_too():

    @HOOKS.register_module()
    class HookOfMyOwn(mmw2s.WeakTeacherDistillHook):
        pass

    try:
        cfg = Config(dict(custom_hooks=[dict(type='HookOfMyOwn')]))
        remove_distillation(cfg)
        assert cfg.custom_hooks == []
    finally:
        HOOKS.module_dict.pop('HookOfMyOwn')


def test_a_path_of_before_is_loaded_and_says_where_the_config_is():
    with pytest.warns(DeprecationWarning, match='detection/bccd/retinanet_'):
        cfg = load_config('configs/bccd/retinanet_r18_slim_bccd.py')
    assert cfg.model.backbone.depth == 18


def test_an_option_of_a_hook_by_position_is_told_the_names():
    with pytest.raises(ValueError, match='default_hooks.w2s'):
        load_config('w2s_retinanet_coco.py', {'custom_hooks.0.stop.type': 1})


@pytest.mark.parametrize('cfg', [
    dict(),
    dict(custom_hooks=None, default_hooks=dict(timer=None)),
    dict(custom_hooks=[dict(type='TimeToTargetHook')])
])
def test_a_config_without_the_hook_is_refused_as_a_baseline(cfg):
    with pytest.raises(ValueError, match='it is a baseline already'):
        remove_distillation(Config(cfg))


def test_a_hook_that_is_none_is_left_out(tmp_path):
    path = tmp_path / 'plain.py'
    path.write_text('default_hooks = dict(w2s=None, timer=None)')
    assert load_config(str(path)).default_hooks == dict(timer=None)


def test_a_config_is_loaded_by_path_or_by_name(tmp_path, monkeypatch):
    path = tmp_path / 'a.py'
    path.write_text('a = dict(b=1)')
    monkeypatch.setattr('mmw2s.configs_path.configs_root', lambda: tmp_path)
    assert load_config(str(path)).a.b == 1
    assert load_config('a.py', {'a.b': 2}).a.b == 2
    with pytest.raises(FileNotFoundError, match='did you mean a.py'):
        load_config('aa.py')


@needs_no_gpu
@pytest.mark.parametrize('given, expected', [
    (dict(), 'BF16OptimWrapper'),
    (dict(type='OptimWrapper'), 'BF16OptimWrapper'),
    (dict(type='BF16OptimWrapper'), 'BF16OptimWrapper'),
    (dict(type='AmpOptimWrapper'), 'AmpOptimWrapper'),
])
def test_amp_is_bfloat16_on_a_cpu(given, expected):
    cfg = Config(dict(optim_wrapper=given))
    enable_amp(cfg)
    assert cfg.optim_wrapper.type == expected
    assert 'loss_scale' not in cfg.optim_wrapper


def test_amp_is_float16_on_a_gpu(monkeypatch):
    monkeypatch.setattr('mmw2s.engine.launch.get_device', lambda: 'cuda')
    cfg = Config(dict(optim_wrapper=dict(type='OptimWrapper')))
    enable_amp(cfg)
    assert cfg.optim_wrapper == dict(
        type='AmpOptimWrapper', loss_scale='dynamic')


def test_amp_refuses_a_wrapper_it_does_not_know():
    cfg = Config(dict(optim_wrapper=dict(type='DeepSpeedOptimWrapper')))
    with pytest.raises(ValueError, match='got "DeepSpeedOptimWrapper"'):
        enable_amp(cfg)


def test_without_a_launcher_nothing_is_changed():
    cfg = Config(dict())
    setup_launcher(cfg, 'none')
    assert cfg.to_dict() == dict(launcher='none')


@needs_no_gpu
def test_slurm_without_an_accelerator_is_refused():
    with pytest.raises(ValueError, match='dist_train.sh'):
        setup_launcher(Config(dict()), 'slurm')


@pytest.fixture
def one_process(monkeypatch):
    """The environment that torchrun makes for a single process."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    yield
    if torch_dist.is_initialized():
        torch_dist.destroy_process_group()


@needs_no_gpu
@pytest.mark.parametrize('own,port', [({}, '10005'),
                                      (dict(MASTER_PORT='29511'), '29511')])
def test_jobs_of_slurm_on_one_node_have_a_port_each(monkeypatch, own, port):
    monkeypatch.setattr('mmw2s.engine.launch.get_device', lambda: 'cuda')
    monkeypatch.setattr('os.environ', dict(SLURM_JOB_ID='60005', **own))
    setup_launcher(Config(dict()), 'slurm')
    assert os.environ['MASTER_PORT'] == port


def test_on_a_cpu_the_gloo_group_and_a_wrapper_without_device_are_set(
        one_process):
    cfg = Config(dict(find_unused_parameters=True))
    setup_launcher(cfg, 'pytorch')
    assert torch_dist.get_backend() == 'gloo'
    assert cfg.model_wrapper_cfg == dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=True)


@needs_no_gpu
def test_a_wrapper_of_ones_own_is_kept_and_told_that_there_is_no_device(
        one_process):
    cfg = Config(
        dict(
            env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=60)),
            model_wrapper_cfg=dict(type='MyDDP', static_graph=True)))
    setup_launcher(cfg, 'pytorch')
    assert cfg.model_wrapper_cfg == dict(
        type='MyDDP', static_graph=True, device_ids=None)


def gloo_threads():
    return [
        task for task in Path('/proc/self/task').iterdir()
        if 'gloo' in (task / 'comm').read_text()
    ]


@needs_no_gpu
@pytest.mark.skipif(
    not Path('/proc/self/task').is_dir(), reason='threads are read from /proc')
def test_no_gloo_thread_outlives_a_run_full_of_cycles(one_process):
    setup_launcher(Config(dict()), 'pytorch')
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 2))
    model(torch.zeros(1, 2)).sum().backward()
    model.itself = [model]
    del model
    assert gloo_threads()
    shut_down_processes()
    assert not gloo_threads()
    shut_down_processes()  # a second time, or without a group, does nothing


@pytest.mark.parametrize('kind', ['mmengine.OptimWrapper', OptimWrapper])
def test_amp_knows_the_wrapper_by_its_class_and_with_its_scope(kind):
    cfg = Config(dict(optim_wrapper=dict(type=kind)))
    enable_amp(cfg)
    assert cfg.optim_wrapper.type in ('BF16OptimWrapper', 'AmpOptimWrapper')
