# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os.path as osp

import pytest
from mmengine.config import Config

import mmw2s
from mmw2s import configs_path


@pytest.fixture
def root(tmp_path, monkeypatch):
    for name in ('w2s_retinanet_coco.py', 'paper/w2s_r50.py',
                 'quickstart/digits.py'):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('answer = 42')
    monkeypatch.setattr(configs_path, 'configs_root', lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize('name', ['paper/w2s_r50.py', 'paper/w2s_r50'])
def test_a_config_is_found_with_and_without_its_ending(root, name):
    path = mmw2s.config(name)
    assert osp.isabs(path)
    assert path == str(root / 'paper' / 'w2s_r50.py')


def test_a_config_of_ones_own_can_inherit_from_it(root, tmp_path):
    own = tmp_path / 'own.py'
    own.write_text("_base_ = [__import__('mmw2s').config('paper/w2s_r50.py')]")
    assert Config.fromfile(str(own)).answer == 42


def test_a_misspelt_name_gets_the_nearest_one(root):
    with pytest.raises(FileNotFoundError, match='w2s_retinanet_coco.py'):
        mmw2s.config('w2s_retinanet_cocoo.py')


def test_a_forgotten_folder_is_told(root):
    with pytest.raises(FileNotFoundError, match='quickstart/digits.py'):
        mmw2s.config('digits.py')


def test_a_hopeless_name_gets_the_list_of_all(root):
    with pytest.raises(FileNotFoundError, match='there are: paper/w2s_r50.py'):
        mmw2s.config('zzz')


def test_the_configs_of_this_copy_are_found():
    assert configs_path.configs_root().is_dir()
