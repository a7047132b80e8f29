# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json

import pytest
import torch
from mmengine.config import Config
from PIL import Image
from tiny_diffusion import build, diffusion

from mmw2s.engine.sampling import load_model, write_samples


@pytest.fixture
def model():
    return build(diffusion(classes=3)).eval()


def pictures(folder):
    return {path.name: path.read_bytes() for path in folder.glob('0*.png')}


def test_a_run_that_was_cut_goes_on_to_the_same_images(model, tmp_path):
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    assert write_samples(model, str(whole), 6) == 6
    assert write_samples(model, str(cut), 3) == 3
    (cut / '000001.png').unlink()
    assert write_samples(model, str(cut), 6, batch_size=2) == 4
    assert sorted(pictures(whole)) == [f'{i:06d}.png' for i in range(6)]
    assert not list(cut.glob('.*'))
    for name in pictures(whole):
        whole_image, cut_image = (
            torch.tensor(list(Image.open(folder / name).getdata()))
            for folder in (whole, cut))
        assert (whole_image - cut_image).abs().max() <= 1


def test_images_are_those_of_the_model(model, tmp_path):
    write_samples(model, str(tmp_path), 2, seed=5)
    with Image.open(tmp_path / '000001.png') as image:
        assert image.size == (8, 8) and image.mode == 'L'
        found = torch.tensor(list(image.getdata())).view(8, 8)
    assert (found - model.sample([5, 6])[1, 0].int()).abs().max() <= 1


def test_a_grid_of_the_first_is_written(model, tmp_path):
    write_samples(model, str(tmp_path), 5, grid=4)
    with Image.open(tmp_path / 'grid.png') as image:
        assert image.size == (20, 20)


def test_a_class_can_be_chosen(model, tmp_path):
    write_samples(model, str(tmp_path / 'a'), 2, label=2)
    write_samples(model, str(tmp_path / 'b'), 2, label=0)
    assert pictures(tmp_path / 'a') != pictures(tmp_path / 'b')
    with pytest.raises(ValueError, match=r'below num_classes \(3\), but is 3'):
        write_samples(model, str(tmp_path / 'c'), 2, label=3)


@pytest.mark.parametrize('fields, what', [(dict(seed=1), 'seed'),
                                          (dict(label=1), 'label')])
def test_images_of_other_settings_are_not_mixed(model, tmp_path, fields, what):
    write_samples(model, str(tmp_path), 2)
    with pytest.raises(FileExistsError, match=f'another {what}'):
        write_samples(model, str(tmp_path), 2, **fields)


def test_images_of_another_model_are_not_mixed(model, tmp_path):
    write_samples(model, str(tmp_path), 2)
    other = build(diffusion(classes=3, sampling_steps=5), 1)
    with pytest.raises(FileExistsError, match='another weights, sampler'):
        write_samples(other, str(tmp_path), 2)
    assert json.loads((tmp_path / 'samples.json').read_text())['seed'] == 0


def test_images_of_another_setting_of_the_sampler_are_not_mixed(
        model, tmp_path):
    write_samples(model, str(tmp_path), 2)
    sampler = dict(type='diffusers.DDIMScheduler', clip_sample=False)
    other = build(diffusion(classes=3, sampler=sampler))
    assert other.sampler_name == model.sampler_name
    with pytest.raises(FileExistsError, match='another sampler:'):
        write_samples(other, str(tmp_path), 2)


def test_weights_are_loaded_and_others_refused(model, tmp_path):
    path = str(tmp_path / 'w.pth')
    torch.save(dict(state_dict=model.state_dict()), path)
    cfg = Config(dict(model=diffusion(classes=3)))
    loaded = load_model(cfg, path)
    assert not loaded.training
    assert torch.equal(loaded.sample([1]), model.sample([1]))
    with pytest.raises(ValueError, match='does not fit'):
        load_model(Config(dict(model=diffusion(12, classes=3))), path)


def test_a_model_that_generates_nothing_is_refused(tmp_path):
    cfg = Config(dict(model=dict(type='BaseDataPreprocessor')))
    with pytest.raises(ValueError, match='a BaseDataPreprocessor'):
        load_model(cfg, str(tmp_path / 'w.pth'))


def test_a_config_without_a_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match='key "model", but has work_dir'):
        load_model(Config(dict(work_dir='.')), str(tmp_path / 'w.pth'))
