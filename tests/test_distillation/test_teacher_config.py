# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os

import pytest
from mmengine.config import Config

from mmw2s.distillation.teacher_config import (found_beside, load_config,
                                               resolve_checkpoint,
                                               without_downloads)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """The current folder, and that of the run's config."""
    here, there = tmp_path / 'here', tmp_path / 'there'
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    return here, there


# -- relative paths ------------------------------------------------------


@pytest.mark.parametrize('field', ['config', 'checkpoint'])
def test_a_relative_path_is_looked_up_beside_the_runs_config_too(
        folders, field):
    here, there = folders
    (there / 'a.py').touch()
    fields = found_beside({field: 'a.py'}, str(there / 'run.py'))
    assert fields == {field: str(there / 'a.py')}


def test_the_current_folder_comes_first_and_that_is_said(folders, said):
    here, there = folders
    (here / 'a.py').touch()
    assert found_beside(dict(config='a.py'), str(there / 'run.py')) == \
        dict(config='a.py')
    assert said == []
    (there / 'a.py').touch()
    assert found_beside(dict(config='a.py'), str(there / 'run.py')) == \
        dict(config='a.py')
    assert f'in {here} and in {there}: the first is taken' in said[0]


def test_a_missing_file_names_the_folders(folders):
    here, there = folders
    with pytest.raises(FileNotFoundError) as error:
        found_beside(dict(config='a.py'), str(there / 'run.py'))
    assert f"no file 'a.py' in {here} or {there}" in str(error.value)
    with pytest.raises(FileNotFoundError) as error:
        found_beside(dict(config='a.py'), str(here / 'run.py'))
    assert str(error.value).count(str(here)) == 1
    with pytest.raises(FileNotFoundError, match="'a.pth' in "):
        found_beside(dict(config='x::y', checkpoint='a.pth'), None)


@pytest.mark.parametrize('fields', [
    dict(config='mmdet::a.py', checkpoint='auto'),
    dict(config=dict(model={}), checkpoint=None),
    dict(config=dict(model={}), checkpoint='https://models.example/a.pth')
])
def test_what_is_no_path_is_left_alone(folders, fields):
    assert found_beside(fields, 'run.py') == fields


def test_load_from_is_looked_up_beside_the_teachers_config(folders):
    here, there = folders
    (there / 'teacher.py'
     ).write_text('model = dict(type="A")\nload_from = "w/a.pth"\n')
    cfg = load_config(os.path.join('..', 'there', 'teacher.py'))
    with pytest.raises(
            FileNotFoundError,
            match='load_from of the teacher.*'
            f'{here} or {there}'):
        resolve_checkpoint('x', 'auto', cfg)
    (there / 'w').mkdir()
    (there / 'w' / 'a.pth').touch()
    assert os.path.samefile(
        resolve_checkpoint('x', 'auto', cfg), there / 'w' / 'a.pth')


# -- downloads -----------------------------------------------------------


def test_whatever_loads_weights_while_it_is_built_is_turned_off(said):
    init = dict(type='Pretrained', checkpoint='b.pth', prefix='backbone')
    given = Config(
        dict(
            model=dict(
                type='A',
                pretrained='torchvision://resnet18',
                teacher_ckpt='https://models.example/r101.pth',
                backbone=dict(
                    type='TIMMBackbone', pretrained=True, init_cfg=init),
                neck=[dict(type='B', init_cfg=dict(type='Xavier'))],
                head=dict(
                    type='torchvision.models.resnet18',
                    weights='IMAGENET1K_V1'),
                loss=dict(
                    type='C', weights=[1., 2.],
                    pretrained_window_size=4)))).model
    before = given.to_dict()
    cfg, inits = without_downloads(given)
    assert given.to_dict() == before
    assert cfg.backbone.pretrained is False and cfg.pretrained is None
    assert cfg.teacher_ckpt is None
    assert cfg.backbone.init_cfg is None and cfg.head.weights is None
    assert cfg.neck[0].init_cfg == dict(type='Xavier')
    assert cfg.loss == given.loss
    assert inits == [('backbone', init)]
    assert 'backbone.pretrained=True' in said[0]


def test_a_config_that_loads_nothing_is_not_spoken_of(said):
    cfg, inits = without_downloads(dict(type='A', pretrained=False))
    assert cfg == dict(type='A', pretrained=False) and inits == said == []
