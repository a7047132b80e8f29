# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from importlib import metadata

import mmcv
import pytest
import torch

import mmw2s
from mmw2s import collect_env as module
from mmw2s.cli import main
from mmw2s.collect_env import collect_env


def test_the_report_names_what_mmw2s_stands_on():
    env = collect_env()
    assert env['mmw2s'] == mmw2s.__version__
    assert env['PyTorch'] == torch.__version__
    assert env['mmcv'].startswith(mmcv.__version__)
    assert 'onedl fork' in env['mmcv'] or 'original' in env['mmcv']
    assert int(env['CPU cores']) >= 1
    assert all(isinstance(value, str) for value in env.values())


def test_the_command_prints_it(monkeypatch, capsys):
    monkeypatch.setattr(module, 'collect_env', lambda: {'CPU cores': '2'})
    main(['env'])
    assert capsys.readouterr().out == 'CPU cores: 2\n'


def test_two_families_over_each_other_are_told(monkeypatch):
    monkeypatch.setattr(metadata, 'version', lambda name: '1.0')
    assert 'mmcv and onedl-mmcv are both installed' in collect_env()['mmcv']


@pytest.mark.parametrize('error, told', [
    (ModuleNotFoundError("No module named 'mmdet'",
                         name='mmdet'), 'not installed'),
    (RuntimeError('operator torchvision::nms does not exist'),
     'cannot be imported: RuntimeError: operator torchvision::nms'),
])
def test_a_missing_or_broken_package_is_part_of_the_report(
        monkeypatch, error, told):

    def broken(name):
        raise error

    monkeypatch.setattr(module, '_is_installed', lambda name: False)
    monkeypatch.setattr(module.importlib, 'import_module', broken)
    assert collect_env()['mmdet'].startswith(told)
