# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy
import os

import pytest
import torch
from builders import teacher_field
from mmengine.hooks import Hook
from mmengine.runner import Runner
from toys import retinanet, run_config, write_pictures

from mmw2s.profiling.rehearsal import Rehearsal


class Weights(Hook):
    """Keeps the weights after so many steps."""

    def __init__(self, steps=3):
        self.steps = steps

    def after_train_iter(self, runner, *args, **kwargs):
        if runner.iter + 1 == self.steps:
            self.seen = copy.deepcopy(runner.model.state_dict())


@pytest.fixture
def cfg(tmp_path):
    (tmp_path / 'data').mkdir()
    return run_config(
        write_pictures(tmp_path / 'data'),
        tmp_path / 'run',
        model=retinanet(18),
        hooks=[dict(type='EMAHook')])


@pytest.fixture
def rehearsal(cfg, tmp_path):
    run = Rehearsal(cfg, str(tmp_path / 'thrown_away'))
    run.begin()
    return run


@pytest.mark.parametrize('loop', [
    dict(type='EpochBasedTrainLoop', max_epochs=1),
    dict(type='IterBasedTrainLoop', max_iters=3)
])
def test_its_steps_are_those_of_the_training_loop(cfg, tmp_path, loop):
    cfg.train_cfg = loop
    # A random order would depend on when a loader is first asked.
    cfg.train_dataloader.sampler.shuffle = False
    rehearsal = Rehearsal(cfg, str(tmp_path / 'thrown_away'))
    rehearsal.begin()
    rehearsal.train(rehearsal.batches(3))
    runner, weights = Runner.from_cfg(cfg), Weights()
    runner.register_hook(weights)
    runner.train()
    for key, value in rehearsal.runner.model.state_dict().items():
        assert torch.equal(value, weights.seen[key]), key
    assert rehearsal.runner.iter == 3


def test_batches_are_read_anew_where_there_are_too_few(rehearsal):
    assert len(rehearsal.batches(6)) == 6  # an epoch has 4


def test_a_batch_can_be_trained_on_again(rehearsal):
    batch, = rehearsal.batches(1)
    before = copy.deepcopy(batch)
    trained = rehearsal.train([batch, batch])
    assert trained.ms > 0
    assert 'loss_bbox' in trained.losses
    assert torch.equal(batch['inputs'][0], before['inputs'][0])
    assert set(batch['data_samples'][0].keys()) == set(
        before['data_samples'][0].keys())
    assert batch['data_samples'][0].metainfo == \
        before['data_samples'][0].metainfo


def test_a_batch_that_is_given_twice_is_whole_both_times(
        rehearsal, monkeypatch):
    batch, = rehearsal.batches(1)
    seen = []

    def step(batch):
        seen.append('inputs' in batch)
        batch.pop('inputs', None)

    monkeypatch.setattr(rehearsal, '_step', step)
    rehearsal.train([batch, batch])
    assert seen == [True, True] and 'inputs' in batch


def test_config_and_work_dir_stay_as_they_are(cfg, tmp_path):
    before = copy.deepcopy(cfg.to_dict())
    run = Rehearsal(cfg, str(tmp_path / 'thrown_away'))
    run.begin()
    run.train(run.batches(5))
    assert cfg.to_dict() == before
    assert not (tmp_path / 'run').exists()
    written = [
        name for *_, names in os.walk(tmp_path / 'thrown_away')
        for name in names
    ]
    assert not [name for name in written if name.endswith('.pth')]


def test_no_backend_of_the_visualizer_hears_of_it(cfg, tmp_path):
    cfg.visualizer = dict(
        type='Visualizer', vis_backends=[dict(type='Absent')])
    Rehearsal(cfg, str(tmp_path / 'thrown_away'))


def test_two_of_them_share_no_message_hub(cfg, rehearsal, tmp_path):
    other = Rehearsal(cfg, str(tmp_path / 'other'))
    assert other.runner.message_hub is not rehearsal.runner.message_hub


def test_a_start_alone_has_no_step_to_show_and_says_what_was_taken(
        cfg, tmp_path):
    cfg.custom_hooks.append(
        dict(
            type='WeakTeacherDistillHook',
            teacher=teacher_field(retinanet(18), tmp_path / 't.pth'),
            start=dict(type='Inherit'),
            distill=[]))
    run = Rehearsal(cfg, str(tmp_path / 'thrown_away'))
    with pytest.raises(ValueError, match='nothing is distilled.*100.0% of'):
        run.begin()
