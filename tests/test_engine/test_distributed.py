# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Two processes by tools/dist_train.sh, on gloo."""
import json

import pytest
import torch
from builders import teacher_field
from ranks import train_file
from toys import retinanet, run_config, write_pictures

# Run in each process: what it decided, the gradients of its first step.
LOOK = '''
import json, os
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS

@HOOKS.register_module()
class Look(Hook):
    priority = 'LOWEST'

    def before_train(self, runner):
        # MMEngine drops the gradients right after the step that used them.
        drop = runner.optim_wrapper.zero_grad

        def save_and_drop(**kwargs):
            if runner.iter == 0:
                model = runner.model
                model = model.module if is_model_wrapper(model) else model
                torch.save({k: p.grad for k, p in model.named_parameters()
                            if p.grad is not None},
                           f'{runner.work_dir}/grads_{get_rank()}.pth')
            drop(**kwargs)

        runner.optim_wrapper.zero_grad = save_and_drop

    def after_train(self, runner):
        hook = next(h for h in runner.hooks
                    if type(h).__name__ == 'WeakTeacherDistillHook')
        with open(f'{runner.work_dir}/rows_{get_rank()}.json', 'w') as f:
            json.dump(hook.record.rows, f)
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        torch.save(model.state_dict(),
                   f'{runner.work_dir}/weights_{get_rank()}.pth')
'''


def run(cfg, folder, name, processes):
    (folder / 'look.py').write_text(LOOK)
    cfg.custom_imports = dict(imports=['mmw2s', 'look'])
    cfg.work_dir = str(folder / name)
    cfg.dump(str(folder / f'{name}.py'))
    train_file(str(folder / f'{name}.py'), processes)


def fcos(depth):
    """A detector whose own loss does not depend on how a batch is split.

    RetinaNet's does: it divides by the positives of each rank. So do batch
    statistics.
    """
    model = retinanet(depth, norm_eval=True)
    model.update(
        type='FCOS',
        bbox_head=dict(
            type='FCOSHead',
            num_classes=2,
            in_channels=16,
            feat_channels=16,
            stacked_convs=1,
            strides=[8, 16, 32],
            regress_ranges=((-1, 24), (24, 48), (48, 1e8)),
            norm_cfg=None))
    return model


@pytest.fixture
def config(tmp_path):
    """The config of a run with fields of the hook."""
    (tmp_path / 'data').mkdir()
    data = write_pictures(tmp_path / 'data')
    teacher = teacher_field(fcos(18), tmp_path / 'teacher.pth', seed=0)

    def make(epochs, batch_size, **fields):
        hook = dict(
            type='WeakTeacherDistillHook',
            teacher=teacher,
            schedule=dict(type='Constant', value=1.),
            **fields)
        cfg = run_config(
            data,
            tmp_path,
            epochs=epochs,
            hooks=[hook, dict(type='Look')],
            model=fcos(18))
        cfg.train_dataloader.update(
            batch_size=batch_size,
            sampler=dict(type='DefaultSampler', shuffle=False))
        return cfg

    return make


def rows_of_two(folder):
    """What two ranks have recorded, which is the same."""
    rows = [
        json.loads((folder / f'rows_{rank}.json').read_text())
        for rank in (0, 1)
    ]
    for row in (*rows[0], *rows[1]):
        for clock in ('step_ms', 'teacher_ms'):  # each rank's own
            row.pop(clock, None)
    assert rows[0] == rows[1]
    return rows[0]


@pytest.mark.slow
def test_two_ranks_decide_alike_and_their_gradients_are_those_of_one_process(
        config, tmp_path):
    fields = dict(
        distill=[
            dict(
                knowledge=dict(type='FPNFeatures'),
                loss=dict(type='PKDLoss', loss_weight='auto')),
            dict(
                knowledge=dict(type='DenseHeadOutputs'),
                loss=dict(type='QualityFocalKDLoss')),
            dict(
                knowledge=dict(type='DenseHeadOutputs', output='boxes'),
                loss=dict(type='BoxKDLoss'))
        ],
        stop=dict(
            type='SurpassOnTrain',
            interval=1,
            min_looks=3,
            margin=-9.,
            latest=None))
    for processes in (1, 2):
        cfg = config(2, 4 // processes, **fields)
        run(cfg, tmp_path, f'on_{processes}', processes)

    one = torch.load(tmp_path / 'on_1' / 'grads_0.pth')
    two = [torch.load(tmp_path / 'on_2' / f'grads_{r}.pth') for r in (0, 1)]
    assert 'neck.lateral_convs.0.conv.weight' in one
    assert one.keys() == two[0].keys()
    for key, grad in one.items():
        torch.testing.assert_close(two[0][key], grad, rtol=1e-3, atol=1e-6)
        assert torch.equal(two[0][key], two[1][key]), key

    rows = rows_of_two(tmp_path / 'on_2')
    stops = [r for r in rows if r['event'] == 'stop']
    assert [r['iter'] for r in stops] == [3]
    alone = json.loads((tmp_path / 'on_1' / 'rows_0.json').read_text())
    for row, expected in zip(rows, alone):
        if row['event'] == 'train':
            assert row['student'] == pytest.approx(expected['student'], 1e-3)


@pytest.mark.slow
def test_two_ranks_end_each_entry_alike(config, tmp_path):
    cfg = config(
        3,
        2,
        distill=[
            dict(
                knowledge=dict(type='FPNFeatures'),
                loss=dict(type='PKDLoss', loss_weight='auto'),
                auto_module='neck',
                stop=dict(
                    type='StopOnSaturation',
                    interval=1,
                    patience=1,
                    min_gain=.99)),
            dict(
                knowledge=dict(type='DenseHeadOutputs'),
                loss=dict(type='QualityFocalKDLoss'),
                schedule=dict(type='Within', begin=1, unit='iter'),
                stop=dict(
                    type='StopOnConflict', interval=1, looks=2, threshold=1.)),
            dict(
                knowledge=dict(type='DenseHeadOutputs', output='boxes'),
                loss=dict(type='BoxKDLoss'),
                schedule=dict(type='FollowGap', by='train', interval=1))
        ],
        stop=dict(type='At', iter=100))
    run(cfg, tmp_path, 'on_2', 2)
    rows = rows_of_two(tmp_path / 'on_2')
    assert {row['event'] for row in rows} > {'train', 'cosine', 'kd_loss'}
    ended = [row['entry'] for row in rows if row['event'] == 'entry_stop']
    assert sorted(ended) == ['loss_kd_cls', 'loss_kd_fpn']
    one, two = (
        torch.load(tmp_path / 'on_2' / f'weights_{rank}.pth')
        for rank in (0, 1))
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.slow
def test_two_teachers_on_two_ranks_teach_as_in_one_process(config, tmp_path):
    """At once in the first step; the second goes on where the first ends."""
    features = dict(
        knowledge=dict(type='FPNFeatures'),
        loss=dict(type='PKDLoss', loss_weight='auto'))
    scores = dict(
        knowledge=dict(type='DenseHeadOutputs'),
        loss=dict(type='QualityFocalKDLoss'))
    for processes in (1, 2):
        cfg = config(
            2,
            4 // processes,
            distill=[features],
            stop=dict(
                type='SurpassOnTrain',
                interval=1,
                min_looks=2,
                margin=-9.,
                latest=None))
        first, look = cfg.custom_hooks
        further = dict(first, distill=[scores], stop=dict(type='At', iter=3))
        cfg.custom_hooks = [
            first,
            dict(further, name='w2s_beside'),
            dict(further, name='w2s_later', after='w2s'), look
        ]
        run(cfg, tmp_path, f'on_{processes}', processes)

    one = torch.load(tmp_path / 'on_1' / 'grads_0.pth')
    two = [torch.load(tmp_path / 'on_2' / f'grads_{r}.pth') for r in (0, 1)]
    assert one.keys() == two[0].keys()
    for key, grad in one.items():
        torch.testing.assert_close(two[0][key], grad, rtol=1e-3, atol=1e-6)
        assert torch.equal(two[0][key], two[1][key]), key
    assert [
        r['iter'] for r in rows_of_two(tmp_path / 'on_2')
        if r['event'] == 'stop'
    ] == [2]
    for name in ('w2s_beside', 'w2s_later'):
        rows = (tmp_path / 'on_2' / f'{name}_record.jsonl').read_text()
        assert json.loads(rows.splitlines()[-1])['iter'] == 3
