# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from tiny_diffusion import build, diffusion

TOOL = Path(__file__).parents[2] / 'tools' / 'sample.py'


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a config and a checkpoint of it."""
    monkeypatch.chdir(tmp_path)
    model = diffusion()
    Config(dict(model=model)).dump('tiny.py')
    torch.save(dict(state_dict=build(model).state_dict()), 'tiny.pth')
    return tmp_path


def main(*args):
    spec = importlib.util.spec_from_file_location('sample_tool', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(list(args))


def test_images_a_grid_and_an_export_are_written(project, capsys):
    main('tiny.py', 'tiny.pth', '--num', '3', '--grid', '--diffusers', 'out')
    folder = project / 'work_dirs' / 'tiny' / 'samples'
    assert len(list(folder.glob('0*.png'))) == 3
    assert (folder / 'grid.png').is_file()
    assert (project / 'out' / 'model_index.json').is_file()
    assert '3 images are in' in capsys.readouterr().out
    main('tiny.py', 'tiny.pth', '--num', '5')
    assert '2 of them made now' in capsys.readouterr().out


def test_sampler_and_steps_can_be_overridden(project):
    main('tiny.py', 'tiny.pth', '--num', '1', '--out', 'dpm', '--cfg-options',
         'model.sampling_steps=3',
         'model.sampler.type=diffusers.DPMSolverMultistepScheduler')
    assert 'dpmsolver3' in (project / 'dpm' / 'samples.json').read_text()


@pytest.mark.parametrize('args, message', [
    (('none.py', 'tiny.pth'), 'none.py'),
    (('tiny.py', 'none.pth'), 'the checkpoint "none.pth" does not exist'),
    (('tiny.py', 'tiny.pth', '--label', '1'), 'num_classes'),
])
def test_what_is_wrong_is_told_in_a_line(project, args, message):
    with pytest.raises(SystemExit, match=f'sample.py: error: .*{message}'):
        main(*args)


@pytest.mark.parametrize('option', ['--num', '--grid', '--batch-size'])
@pytest.mark.parametrize('number', ['0', '-3'])
def test_no_image_cannot_be_asked_for(capsys, option, number):
    with pytest.raises(SystemExit):
        main('tiny.py', 'tiny.pth', f'{option}={number}')
    error = capsys.readouterr().err
    assert f'{option}: should be 1 or more, but is {number}' in error


def test_help_is_told_from_anywhere(tmp_path):
    out = subprocess.run([sys.executable, str(TOOL), '--help'],
                         cwd=str(tmp_path),
                         stdout=subprocess.PIPE,
                         universal_newlines=True,
                         check=True).stdout
    assert '--diffusers FOLDER' in out
