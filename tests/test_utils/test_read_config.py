# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Configs of packages, also of one under another name than its original."""
import pytest
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE

from mmw2s.distillation.teacher_config import load_config, resolve_checkpoint
from mmw2s.engine.launch import load_config as load_run
from mmw2s.utils.read_config import read_packaged_config

CONFIG = 'mmaction::tiny/tiny_8xb2.py'


@pytest.fixture(autouse=True)
def fork(tmp_path, monkeypatch):
    """MMEngine takes mmaction for a part of the package mmaction2."""
    assert MODULE2PACKAGE['mmaction'] == 'mmaction2'
    zoo = tmp_path / 'packages' / 'mmaction' / '.mim'
    configs = zoo / 'configs' / 'tiny'
    configs.mkdir(parents=True)
    (zoo.parent / '__init__.py').touch()
    (zoo / 'model-index.yml').write_text('Import: [configs/tiny/meta.yml]')
    (configs / 'meta.yml').write_text(
        'Models: [{Name: tiny, Config: configs/tiny/tiny_8xb2.py, '
        'Weights: "https://example.org/tiny.pth"}]')
    (configs / 'tiny_8xb2.py').write_text('model = dict(type="Tiny")')
    monkeypatch.syspath_prepend(zoo.parent.parent)
    # What MMEngine does where it finds no package.
    monkeypatch.setattr('mmengine.utils.package_utils.call_command',
                        lambda command: pytest.fail(' '.join(command)))


def test_a_teacher_of_its_model_zoo_is_found_and_nothing_is_installed():
    cfg = load_config(CONFIG)
    assert cfg.model.type == 'Tiny' and cfg.default_scope == 'mmaction'
    assert resolve_checkpoint(CONFIG, 'auto',
                              cfg) == 'https://example.org/tiny.pth'


@pytest.mark.parametrize('load', [load_config, load_run])
def test_a_config_may_build_on_one_of_it(tmp_path, load):
    path = tmp_path / 'mine.py'
    path.write_text(f'_base_ = "{CONFIG}"')
    with pytest.raises(ModuleNotFoundError, match='mmaction2'):
        Config.fromfile(str(path))
    assert load(str(path)).model.type == 'Tiny'


def test_a_run_may_have_one_of_it_with_options():
    cfg = load_run(CONFIG, {'model.depth': 18})
    assert cfg.model == dict(type='Tiny', depth=18)


def test_mmengine_is_left_as_it_was():
    before = dict(MODULE2PACKAGE)
    read_packaged_config(CONFIG)
    with pytest.raises(Exception):
        read_packaged_config('mmaction::no/such_config.py')
    assert MODULE2PACKAGE == before


@pytest.mark.parametrize('load', [load_config, load_run])
def test_a_package_that_is_missing_is_named_and_not_installed(load):
    with pytest.raises(
            ModuleNotFoundError, match='no_such_package, which is not inst'):
        load('no_such_package::a/b.py')
