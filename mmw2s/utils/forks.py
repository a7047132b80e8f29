# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Finds the configs of packages that are installed under another name."""
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Iterator
from unittest.mock import patch

from mmengine.config.utils import MODULE2PACKAGE

__all__ = ['forks_found']


@contextmanager
def forks_found() -> Iterator[None]:
    """Within it MMEngine looks for packages by the name that is imported.

    For ``mmseg::...`` it asks whether ``mmsegmentation`` is installed. Where
    the fork ``onedl-mmsegmentation`` is, ``Config.fromfile`` says that the
    package is missing, and ``get_config`` has pip install the original over
    it.
    """
    names = {name: name for name in MODULE2PACKAGE if find_spec(name)}
    with patch.dict(MODULE2PACKAGE, names):
        yield
