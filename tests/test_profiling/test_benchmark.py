# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy
import json
import os.path as osp
import runpy
import sys
import time
from collections import Counter

import pytest
import torch
from builders import build, save
from mmengine.optim import OptimWrapper
from toys import retinanet, run_config, write_pictures

from mmw2s.analysis.pace import Pace
from mmw2s.distillation.teacher import FrozenTeacher
from mmw2s.distillation.teacher_outputs import TeacherOutputs
from mmw2s.engine.session import Session
from mmw2s.profiling.bench_runs import configs_of_both
from mmw2s.profiling.benchmark import benchmark
from mmw2s.profiling.rehearsal import Rehearsal
from mmw2s.profiling.step_cost import AGAIN, BASELINE, FLOOR, OFF, ON, TEACHER

TOOL = osp.join(
    osp.dirname(__file__), '..', '..', 'tools', 'analysis_tools',
    'benchmark.py')
BATCHES = 2
FEATURES = [
    dict(
        knowledge=dict(type='FPNFeatures'),
        loss=dict(type='PKDLoss', loss_weight=1.))
]


@pytest.fixture
def cfg(tmp_path, monkeypatch):
    """A run with a hook that would stop at once, by itself."""
    monkeypatch.setattr('mmw2s.profiling.benchmark.BATCHES', BATCHES)
    (tmp_path / 'data').mkdir()
    save(build(retinanet(18)), tmp_path / 't.pth')
    hook = dict(
        type='WeakTeacherDistillHook',
        teacher=dict(
            config=dict(default_scope='mmdet', model=retinanet(18)),
            checkpoint=str(tmp_path / 't.pth')),
        stop=dict(type='At', iter=1))
    return run_config(
        write_pictures(tmp_path / 'data'),
        tmp_path / 'run',
        epochs=1,
        model=retinanet(18),
        hooks=[dict(type='ChannelsLastHook'), hook])


def test_a_slow_teacher_shows_while_it_is_on_and_not_after_the_stop(
        cfg, tmp_path, monkeypatch):
    run = TeacherOutputs._run

    def slow(view, forward):
        time.sleep(0.3)
        return run(view, forward)

    monkeypatch.setattr(TeacherOutputs, '_run', slow)
    before = copy.deepcopy(cfg.to_dict())
    result = benchmark(cfg, steps=3)
    assert list(result.ms) == [BASELINE, FLOOR, ON, AGAIN, OFF]
    assert all(len(ms) == 3 for ms in result.ms.values())
    least = {mode: min(ms) for mode, ms in result.ms.items()}
    assert min(least[FLOOR], least[ON]) > \
        max(least[BASELINE], least[AGAIN], least[OFF])
    assert result.teacher_parts > 100 and result.teacher_parts_left == 0
    assert result.facts['batch_shapes'] == [(2, 3, 64, 64)]
    assert result.facts['versions']['torch']
    assert cfg.to_dict() == before and not (tmp_path / 'run').exists()


def test_the_students_differ_in_nothing_but_the_hook_and_stand_still(cfg):
    cfg.randomness.seed = None
    plain, distilling = configs_of_both(cfg)
    assert [h.type for h in plain.custom_hooks] == ['ChannelsLastHook']
    plain.custom_hooks = distilling.custom_hooks
    assert plain.to_dict() == distilling.to_dict()
    assert distilling.optim_wrapper.optimizer.lr == 0.
    assert distilling.randomness.seed == 0


def test_with_accumulation_every_mode_gets_a_whole_update(cfg, monkeypatch):
    cfg.optim_wrapper.update(type='BF16OptimWrapper', accumulative_counts=2)
    done = dict(step=0, update=0)
    step, update = Rehearsal._step, OptimWrapper.step

    def counted_step(self, batch):
        done['step'] += 1
        return step(self, batch)

    def counted_update(self, **kwargs):
        done['update'] += 1
        assert done['step'] % 2 == 0  # the last of its mode
        return update(self, **kwargs)

    monkeypatch.setattr(Rehearsal, '_step', counted_step)
    monkeypatch.setattr(OptimWrapper, 'step', counted_update)
    result = benchmark(cfg, steps=2)
    # First steps, the rounds of the first phase with memory and multiply-adds,
    # those around the stop, and the rounds of the second phase.
    units = 2 * BATCHES + 3 * (2 * BATCHES + 2 + 1) + 2 + 2 * (2 * BATCHES + 2)
    assert done == dict(step=2 * units, update=units)
    assert result.facts['accumulative_counts'] == 2
    assert result.facts['optim_wrapper'] == 'BF16OptimWrapper'


def test_the_bare_forward_goes_no_deeper_than_the_knowledges_need(
        cfg, monkeypatch):
    cfg.custom_hooks[1].distill = FEATURES
    reached = []
    freeze = FrozenTeacher._freeze

    def watched(self):
        freeze(self)
        for name in ('neck', 'bbox_head.retina_cls'):
            self.model.get_submodule(name).register_forward_hook(
                lambda *_, name=name: reached.append(name))

    monkeypatch.setattr(FrozenTeacher, '_freeze', watched)
    benchmark(cfg, steps=1)
    # The first forward of all is looked at to its end, through three levels.
    assert reached[:4] == ['neck'] + 3 * ['bbox_head.retina_cls']
    # First steps, rounds, memory and multiply-adds of two modes, and the step
    # before the stop.
    forwards = BATCHES + 2 * (2 * BATCHES + 1 + 1) + 1
    assert reached[4:] == ['neck'] * (forwards - 1)


def test_a_teacher_that_is_kept_is_seen(cfg, monkeypatch):
    kept = []
    close = Session.close

    def leaking(self, runner):
        if self.distiller is not None:
            kept.append(next(self.distiller.teacher.model.parameters()))
        close(self, runner)

    monkeypatch.setattr(Session, 'close', leaking)
    assert benchmark(cfg, steps=1).teacher_parts_left == 1


def test_memory_is_that_of_the_own_run_and_the_teachers_part_goes(cfg):
    cfg.custom_hooks[1].distill = FEATURES
    peak = benchmark(cfg, steps=1).peak_mib
    student = sum(p.nbytes for p in build(retinanet(18)).parameters()) / 2**20
    # Weights of both; the student's gradients, and its momenta.
    assert peak[BASELINE] > 3 * student
    assert 0.9 < (peak[FLOOR] - peak[BASELINE]) / student < 1.5
    assert peak[FLOOR] <= peak[ON] * 1.02
    assert peak[AGAIN] == pytest.approx(peak[BASELINE], rel=0.02)
    assert peak[OFF] == pytest.approx(peak[AGAIN], rel=0.02)


def test_the_teachers_own_training_is_measured_on_its_own_batches(
        cfg, tmp_path):
    own = run_config(
        str(tmp_path / 'data'), tmp_path / 'own', model=retinanet(18))
    own.custom_hooks = [dict(type='ChannelsLastHook')]
    own.train_dataloader.batch_size = 1
    before = copy.deepcopy(own.to_dict())
    result = benchmark(cfg, steps=2, teacher_cfg=own)
    assert list(result.ms) == [BASELINE, FLOOR, ON, AGAIN, OFF, TEACHER]
    assert len(result.ms[TEACHER]) == 2 and result.peak_mib[TEACHER] > 0
    assert result.facts['teacher_batch_size_per_device'] == 1
    assert result.facts['batch_size_per_device'] == 2
    assert own.to_dict() == before and result.teacher_parts_left == 0


def test_options_of_the_teacher_are_measured_beside_it(cfg, monkeypatch):
    seen = Counter()
    run = TeacherOutputs._run

    def noted(view, forward):
        seen[view._teacher.precision, view._teacher.fuse] += 1
        return run(view, forward)

    monkeypatch.setattr(TeacherOutputs, '_run', noted)
    before = copy.deepcopy(cfg.to_dict())
    result = benchmark(
        cfg,
        steps=2,
        teacher_options=[dict(precision='fp32', fuse=True),
                         dict(precision='bf16')])
    first, second = (f'{ON}, precision=fp32 fuse=True',
                     f'{ON}, precision=bf16')
    assert list(result.ms) == [BASELINE, FLOOR, ON, first, second, AGAIN, OFF]
    assert len(result.ms[second]) == 2
    # The rest is of the run as it is, and of the teacher's forward alone.
    rounds = BATCHES - 1 + BATCHES + 2 + BATCHES + 1
    assert seen[torch.float32, True] == seen[torch.bfloat16, False] == rounds
    assert result.ratios[f'{first} / baseline'][:2] == (first, BASELINE)
    assert result.peak_mib[first] == pytest.approx(
        result.peak_mib[ON], rel=0.05)
    assert result.peak_mib[OFF] == pytest.approx(
        result.peak_mib[AGAIN], rel=0.02)
    assert result.teacher_parts_left == 0 and cfg.to_dict() == before


def test_an_unknown_option_of_the_teacher_is_refused_at_once(cfg, monkeypatch):
    monkeypatch.setattr(Rehearsal, 'begin', lambda run: pytest.fail('begun'))
    with pytest.raises(TypeError, match='fuze.*"fuse"'):
        benchmark(cfg, teacher_options=[dict(fuze=True)])


def test_multiply_adds_are_those_of_student_and_teacher(cfg):
    cfg.custom_hooks[1].distill = 'full'  # the whole forward
    gmacs = benchmark(cfg, steps=1).gmacs
    assert list(gmacs) == [BASELINE, FLOOR, ON]
    # Of equal models: a forward, and a backward of about two, in which the
    # first layer needs no gradient of the image.
    teacher = gmacs[FLOOR] - gmacs[BASELINE]
    assert 2.5 < gmacs[BASELINE] / teacher < 3.
    # The losses compare without a product of matrices.
    assert gmacs[ON] == pytest.approx(gmacs[FLOOR])


def test_a_step_is_the_mean_over_those_that_distill_and_the_others(
        cfg, monkeypatch):
    cfg.custom_hooks[1].every = 3
    forwards = []
    run = TeacherOutputs._run

    def counted(view, forward):
        forwards.append(1)
        return run(view, forward)

    monkeypatch.setattr(TeacherOutputs, '_run', counted)
    gmacs = benchmark(cfg, steps=1).gmacs
    full = BATCHES + 2 * (2 * BATCHES + 1 + 1) + 1
    assert len(forwards) == full - 1  # the first of all is seen to its end
    cfg.custom_hooks[1].every = 1
    always = benchmark(cfg, steps=1).gmacs
    for mode in (FLOOR, ON):
        assert gmacs[mode] - gmacs[BASELINE] == pytest.approx(
            (always[mode] - always[BASELINE]) / 3, rel=1e-3)


def test_a_config_without_the_hook_is_refused(cfg):
    cfg.custom_hooks = []
    with pytest.raises(ValueError, match='but this config has none'):
        benchmark(cfg)


def test_at_least_one_step_is_asked_for(cfg):
    with pytest.raises(ValueError, match='steps should be at least 1'):
        benchmark(cfg, steps=0)


def test_the_tool_writes_every_time_into_a_file(cfg, tmp_path, monkeypatch,
                                                capsys):
    cfg.dump(str(tmp_path / 'toy.py'))
    cfg.custom_hooks.pop()
    cfg.dump(str(tmp_path / 'weak.py'))
    out = tmp_path / 'cost.json'
    monkeypatch.setattr(sys, 'argv', [
        TOOL,
        str(tmp_path / 'toy.py'), '--steps', '2', '--amp', '--out',
        str(out), '--teacher-config',
        str(tmp_path / 'weak.py'), '--teacher-option', 'precision=fp32',
        'fuse=True', '--teacher-option', 'fuse=False'
    ])
    runpy.run_path(TOOL, run_name='__main__')
    assert 'after the stop / baseline, again' in capsys.readouterr().out
    content = json.loads(out.read_text())
    assert len(content['modes'][OFF]['ms']) == 2
    assert f'{ON}, precision=fp32 fuse=True' in content['modes']
    assert f'{ON}, fuse=False' in content['modes']
    assert content['facts']['config'] == 'toy.py'
    assert content['facts']['teacher_config'] == 'weak.py'
    assert Pace.load(str(out)).teacher > 0
    assert content['facts']['optim_wrapper'] == 'BF16OptimWrapper'


@pytest.mark.parametrize('argv, message', [
    (['nowhere.py'], 'mmw2s has no'),
    (['toy.py', '--cfg-options', 'custom_hooks.1.stop.type=Att'], 'Att'),
    (['toy.py', '--cfg-options', 'custom_hooks.1.stopx=1'], 'stopx'),
])
def test_the_tool_ends_with_one_clear_line(cfg, tmp_path, monkeypatch, argv,
                                           message):
    monkeypatch.chdir(tmp_path)
    cfg.dump('toy.py')
    monkeypatch.setattr(sys, 'argv', [TOOL, *argv])
    with pytest.raises(SystemExit, match=f'^benchmark.py: error: .*{message}'):
        runpy.run_path(TOOL, run_name='__main__')
