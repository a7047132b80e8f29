# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A diffusion model on two processes by tools/dist_train.sh, on gloo."""
import json

import pytest
from ranks import train_file
from tiny_diffusion import diffusion, run_config

pytestmark = pytest.mark.slow


def metrics(folder, processes):
    """What the validation gives for a model that does not learn."""
    cfg = run_config(
        folder / str(processes),
        2,
        hooks=[dict(type='TimeToTargetHook'),
               dict(type='SampleGridHook')],
        model=diffusion(8),
        val_evaluator=[
            dict(type='DenoisingError'),
            dict(
                type='FID',
                num_samples=17,
                reference=dict(type='Digits', indices=33),
                extractor=dict(type='Corners', dims=8),
                batch_size=5)
        ])
    cfg.train_cfg.val_interval = 2
    cfg.optim_wrapper.optimizer.lr = 0.
    cfg.val_dataloader.dataset.update(
        indices=33, pipeline=[dict(type='PackImage', generate=17)])
    cfg.val_dataloader.batch_size = 4
    cfg.custom_imports = dict(imports=['mmw2s', 'tiny_extractor'])
    cfg.dump(str(folder / f'{processes}.py'))
    train_file(
        str(folder / f'{processes}.py'),
        processes,
        MMW2S_CACHE=str(folder / f'cache{processes}'))
    with open(folder / str(processes) / 'time_to_target.json') as file:
        return json.load(file)['history'][0]['metrics']


def test_two_processes_give_the_scores_of_one(tmp_path):
    one, two = (metrics(tmp_path, n) for n in (1, 2))
    assert set(one) == {'diffusion/denoising_mse', 'diffusion/fid_17_ddim4'}
    assert two == pytest.approx(one, rel=1e-4)
