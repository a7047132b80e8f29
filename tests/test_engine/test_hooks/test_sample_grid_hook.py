# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import cv2
import pytest
import torch
from runs import assert_same_weights, train
from tiny_diffusion import run_config

from mmw2s.engine.hooks import SampleGridHook
from mmw2s.models.diffusion.grid import image_grid

GRID = dict(type='SampleGridHook', num=4, seed=2)
EMA = dict(type='EMAHook', momentum=0.5)


def run(work_dir, hooks, name='run'):
    return train(run_config(work_dir / name, iters=4, hooks=hooks))


def shown(work_dir):
    path, = work_dir.rglob('samples_4.png')
    return torch.from_numpy(cv2.imread(str(path))[..., ::-1].copy()).int()


def test_a_grid_is_shown_at_each_validation(tmp_path):
    model = run(tmp_path, [GRID]).model.eval()
    expected = torch.from_numpy(image_grid(model.sample(range(2, 6)))).int()
    assert (shown(tmp_path) - expected).abs().max() <= 1


def test_training_is_what_it_is_without(tmp_path):
    assert_same_weights(
        run(tmp_path, [GRID], 'with'), run(tmp_path, [], 'without'))


def test_images_are_those_of_the_averaged_model(tmp_path):
    runner = run(tmp_path, [GRID, EMA])
    saved = torch.load(tmp_path / 'run' / 'iter_4.pth', weights_only=False)
    found = shown(tmp_path)
    distances = []
    for key in ('state_dict', 'ema_state_dict'):  # averaged, then its own
        weights = saved[key]
        if key != 'state_dict':
            weights = {
                k[len('module.'):]: v
                for k, v in weights.items() if k.startswith('module.')
            }
        runner.model.load_state_dict(weights)
        grid = image_grid(runner.model.eval().sample(range(2, 6)))
        distances.append((found - torch.from_numpy(grid).int()).abs().max())
    assert distances[0] <= 1 < distances[1]


def test_a_model_that_generates_nothing_is_refused(tmp_path):
    runner = run(tmp_path, [])
    runner.model.__class__ = torch.nn.Module
    with pytest.raises(ValueError, match='generates images.*a Module'):
        SampleGridHook().before_run(runner)


def test_no_image_at_all_is_refused():
    with pytest.raises(ValueError, match='an integer >= 1, but got 0'):
        SampleGridHook(num=0)
