# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Reads configs, from files and from installed packages."""
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Iterator
from unittest.mock import patch

from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.hub import get_config

__all__ = ['read_config', 'read_packaged_config']


def read_config(path: str) -> Config:
    """``Config.fromfile``, which finds bases in forks of packages too."""
    with _forks_found():
        return Config.fromfile(path)


def read_packaged_config(name: str, pretrained: bool = False) -> Config:
    """MMEngine's ``get_config``, which never installs anything here.

    Args:
        name (str): Such as
            ``'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'``.
        pretrained (bool): Whether its ``model_path`` should be the address
            of the weights in the package's model zoo. Defaults to False.

    Returns:
        Config: The config, with a ``default_scope``.

    Raises:
        ModuleNotFoundError: If the package is not installed.
    """
    package = name.split('::')[0]
    # `get_config` would install a missing package by pip.
    if find_spec(package) is None:
        raise ModuleNotFoundError(f'{name!r} is a config of the package '
                                  f'{package}, which is not installed')
    with _forks_found():
        cfg = get_config(name, pretrained)
    cfg.setdefault('default_scope', package)
    return cfg


@contextmanager
def _forks_found() -> Iterator[None]:
    """Within it MMEngine looks for packages by the name that is imported.

    For ``mmseg::...`` it asks whether ``mmsegmentation`` is installed. Where
    the fork ``onedl-mmsegmentation`` is, ``Config.fromfile`` says that the
    package is missing, and ``get_config`` has pip install the original over
    it.
    """
    names = {
        name: name
        for name, package in MODULE2PACKAGE.items()
        if name != package and find_spec(name)
    }
    with patch.dict(MODULE2PACKAGE, names):
        yield
