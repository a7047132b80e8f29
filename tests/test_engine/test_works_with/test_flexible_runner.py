# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The hook with MMEngine's strategies and the wrappers of processes."""
import json
import os
import os.path as osp
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as torch_dist
from entries import FPN
from mmdet.models import FPN as Neck
from mmengine._strategy import ColossalAIStrategy, DeepSpeedStrategy
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import HOOKS, MODEL_WRAPPERS, MODELS
from mmengine.runner import FlexibleRunner
from toys import retinanet
from works_with import distilling, find, hooks_on, train

from mmw2s.engine import WeakTeacherDistillHook
from mmw2s.engine.launch import shut_down_processes
from mmw2s.records.files import EVENTS

HERE = osp.dirname(osp.abspath(__file__))
TESTS = osp.dirname(osp.dirname(HERE))
# gloo, without an accelerator.
GLOO = dict(launcher='pytorch', env_cfg=dict(dist_cfg=dict(backend='gloo')))
DDP = dict(type='MMDistributedDataParallel', device_ids=None)
# FSDP names its device, or it asks for an accelerator.
STRATEGIES = dict(
    DDP=dict(type='DDPStrategy', model_wrapper=DDP),
    FSDP=dict(
        type='FSDPStrategy',
        state_dict_cfg='full',
        model_wrapper=dict(
            type='MMFullyShardedDataParallel', device_id=torch.device('cpu'))))

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason='one process without an accelerator')


def free_port() -> str:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return str(free.getsockname()[1])


@pytest.fixture
def one_process(monkeypatch):
    """A group of one process on gloo."""
    monkeypatch.setattr(FlexibleRunner, '_log_env', lambda *_: None)
    for name, value in dict(
            RANK='0',
            WORLD_SIZE='1',
            LOCAL_RANK='0',
            MASTER_ADDR='127.0.0.1',
            MASTER_PORT=free_port()).items():
        monkeypatch.setenv(name, value)
    torch_dist.init_process_group('gloo')
    yield
    shut_down_processes()


def flexible(pictures, work_dir, teacher, strategy=None, **overrides):
    cfg = distilling(
        pictures,
        work_dir,
        teacher,
        epochs=2,
        validate=True,
        w2s=dict(stop=dict(type='At', iter=6)),
        **overrides)
    cfg.merge_from_dict(
        dict(GLOO, strategy=STRATEGIES[strategy]
             ) if strategy else dict(launcher='none', env_cfg=dict()))
    return cfg


def events(work_dir):
    with open(osp.join(str(work_dir), EVENTS)) as file:
        return [(row['event'], row['iter']) for row in map(json.loads, file)]


def test_strategies_distil_alike_and_resume(pictures, teacher, tmp_path,
                                            one_process):
    runs = {}
    for kind in (None, *STRATEGIES):
        cfg = flexible(pictures, tmp_path / str(kind), teacher, kind)
        runner, runs[kind] = train(cfg, kind=FlexibleRunner)
        assert hooks_on(runner.model) == 0
        assert events(cfg.work_dir) == [('teacher', 0), ('val', 4),
                                        ('stop', 6)]
        for step, expected in zip(runs[kind], runs[None]):
            assert step == pytest.approx(expected, rel=1e-3)
        if kind != 'FSDP':
            cfg.merge_from_dict(
                dict(
                    resume=True,
                    load_from=osp.join(cfg.work_dir, 'epoch_1.pth')))
            _, seen = train(cfg, kind=FlexibleRunner)
            assert len(seen) == 4
            for step, expected in zip(seen, runs[None][4:]):
                assert step == pytest.approx(expected, rel=1e-3)
    assert ['loss_kd_fpn' in step
            for step in runs[None]] == [True] * 6 + [False] * 2


@pytest.mark.parametrize('kind', [DeepSpeedStrategy, ColossalAIStrategy])
def test_other_strategies_are_refused_with_what_to_use(kind):
    runner = SimpleNamespace(
        iter=0,
        model=torch.nn.Linear(1, 1),
        hooks=[],
        message_hub=SimpleNamespace(log_scalars={}),
        strategy=object.__new__(kind))
    with pytest.raises(
            ValueError,
            match=f'DDPStrategy and FSDPStrategy, .* {kind.__name__}'):
        WeakTeacherDistillHook('x').before_train(runner)


@pytest.mark.slow
def test_two_processes_with_shards_distil_as_those_with_whole_models(
        pictures, teacher, tmp_path):
    job = tmp_path / 'job.py'
    job.write_text(f'''
import sys
sys.path[:0] = [{HERE!r}, {TESTS!r}]
import json
import torch.distributed as torch_dist
from mmengine.registry import FUNCTIONS
from mmengine.runner import FlexibleRunner
from mmw2s.engine.launch import shut_down_processes
from test_flexible_runner import flexible
from works_with import train

@FUNCTIONS.register_module()
def stages_and_neck(module, recurse, nonwrapped_numel):
    return recurse or type(module).__name__ in ('ResLayer', 'FPN')

FlexibleRunner._log_env = lambda *_: None
torch_dist.init_process_group('gloo')
seen = {{}}
for kind in ('DDP', 'FSDP'):
    cfg = flexible({pictures!r}, {str(tmp_path)!r}, {teacher!r}, kind)
    # Of a sharded model on a CPU, PyTorch can save nothing.
    cfg.default_hooks.checkpoint = None
    cfg.train_dataloader.batch_size = 1
    if kind == 'FSDP':
        cfg.strategy.model_wrapper.auto_wrap_policy = 'stages_and_neck'
    seen[kind] = train(cfg, kind=FlexibleRunner)[1]
if torch_dist.get_rank() == 0:
    json.dump(seen, open({str(tmp_path / 'seen.json')!r}, 'w'))
shut_down_processes()
''')
    done = subprocess.run([
        sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node', '2',
        '--master_port',
        free_port(),
        str(job)
    ],
                          env=dict(os.environ, OMP_NUM_THREADS='1'),
                          capture_output=True,
                          text=True,
                          timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads((tmp_path / 'seen.json').read_text())
    assert 'loss_kd_fpn' in seen['DDP'][0]
    for step, expected in zip(seen['FSDP'], seen['DDP']):
        assert step == pytest.approx(expected, rel=1e-3)


# -- DistributedDataParallel in the usual runner --------------------------


@MODELS.register_module()
class NeckWithMore(Neck):
    """A neck with parameters that no loss depends on."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.unused = torch.nn.Linear(2, 2)


def test_unused_parameters_are_found_as_without_the_hook(
        pictures, teacher, tmp_path, one_process):
    student = retinanet(50, norm_eval=True)
    student['neck']['type'] = 'NeckWithMore'
    cfg = distilling(pictures, tmp_path, teacher, model=student, **GLOO)
    cfg.model_wrapper_cfg = dict(DDP, find_unused_parameters=True)
    runner, seen = train(cfg)
    assert len(seen) == 4 and 'loss_kd_fpn' in seen[-1]
    assert runner.model.module.neck.unused.weight.grad is None
    cfg.model_wrapper_cfg.find_unused_parameters = False
    with pytest.raises(RuntimeError, match='find_unused_parameters=True'):
        train(cfg)


@MODEL_WRAPPERS.register_module()
class PassesOn(BaseModel):
    """A wrapper that takes SyncBatchNorm on a CPU, which DDP does not."""

    def __init__(self, module):
        super().__init__()
        self.module = module
        self.train_step = module.train_step

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)


class Ready(Exception):
    """Leaves a run before its first step."""


@HOOKS.register_module()
class FirstNorms(Hook):
    """Looks at the first norm of both models, and leaves."""

    priority = 'LOWEST'

    def before_train_epoch(self, runner):
        hook = find(runner, WeakTeacherDistillHook)
        raise Ready(*(model.backbone.bn1
                      for model in (runner.model.module,
                                    hook.distiller.teacher.model)))


@pytest.mark.parametrize('kind', ['torch', 'mmcv'])
def test_the_norms_of_sync_bn_are_those_that_are_looked_at(
        pictures, teacher, tmp_path, one_process, kind):
    cfg = distilling(
        pictures,
        tmp_path,
        teacher,
        hooks=[dict(type='FirstNorms')],
        sync_bn=kind,
        w2s=dict(distill=[
            dict(
                FPN, knowledge=dict(type='FPNFeatures', module='backbone.bn1'))
        ]),
        **GLOO)
    cfg.model_wrapper_cfg = dict(type='PassesOn')
    with pytest.raises(Ready) as found:
        train(cfg)
    student, teachers = found.value.args
    assert type(student).__name__ == 'SyncBatchNorm'
    assert type(teachers) is torch.nn.BatchNorm2d
    assert hooks_on(student) == hooks_on(teachers) == 1
