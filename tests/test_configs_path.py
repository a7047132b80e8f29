# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os.path as osp

import pytest
from mmengine.config import Config

import mmw2s
from mmw2s import configs_path


@pytest.fixture
def root(tmp_path, monkeypatch):
    for name in ('w2s_retinanet_coco.py', 'detection/coco/w2s_r50.py',
                 'detection/digits/digits.py'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('answer = 42')
    monkeypatch.setattr(configs_path, 'configs_root', lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    'name', ['detection/coco/w2s_r50.py', 'detection/coco/w2s_r50'])
def test_a_config_is_found_with_and_without_its_ending(root, name):
    path = mmw2s.config(name)
    assert osp.isabs(path)
    assert path == str(root / 'detection' / 'coco' / 'w2s_r50.py')


def test_a_config_of_ones_own_can_inherit_from_it(root, tmp_path):
    own = tmp_path / 'own.py'
    own.write_text(
        "_base_ = [__import__('mmw2s').config('detection/coco/w2s_r50.py')]")
    assert Config.fromfile(str(own)).answer == 42


@pytest.mark.parametrize('old, new', [
    ('paper/w2s_r50.py', 'detection/coco/w2s_r50.py'),
    ('configs/quickstart/digits', 'detection/digits/digits.py'),
])
def test_an_old_name_finds_the_config_and_says_the_new_one(root, old, new):
    with pytest.warns(DeprecationWarning, match=f'has moved to "{new}"'):
        assert mmw2s.config(old) == str(root / new)


def test_every_old_name_leads_to_something():
    root = configs_path.configs_root()
    for new in configs_path._MOVED.values():
        assert (root / new).is_dir() or (root / f'{new}.py').is_file()


def test_an_old_name_of_what_is_nowhere_is_refused_with_the_near_ones(root):
    with pytest.raises(FileNotFoundError, match='detection/coco/w2s_r50.py'):
        mmw2s.config('bccd/w2s_r50.py')


def test_a_misspelt_name_gets_the_nearest_one(root):
    with pytest.raises(FileNotFoundError, match='w2s_retinanet_coco.py'):
        mmw2s.config('w2s_retinanet_cocoo.py')


def test_a_forgotten_folder_is_told(root):
    with pytest.raises(FileNotFoundError, match='detection/digits/digits.py'):
        mmw2s.config('digits.py')


def test_a_hopeless_name_gets_a_short_list(root):
    for folder in ('_base_', 'classification'):
        (root / folder).mkdir(exist_ok=True)
        for number in range(3):
            (root / folder / f'{number}.py').touch()
    with pytest.raises(FileNotFoundError) as error:
        mmw2s.config('zzz')
    listed = str(error.value).split('there are: ')[1]
    assert listed.startswith('w2s_retinanet_coco.py, classification/0.py')
    assert listed.endswith(' more') and '_base_' not in listed


def test_the_configs_of_this_copy_are_found():
    assert configs_path.configs_root().is_dir()
