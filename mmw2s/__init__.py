# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Weak-to-strong knowledge distillation for MMEngine.

Importing the package registers all its parts, so that
``custom_imports = dict(imports=['mmw2s'])`` is all that a config needs.
"""
from .utils.versions import check_versions, installed_versions

# Before anything else is imported: what follows fails in obscure ways where a
# package is too old.
check_versions(installed_versions())

from . import datasets, distillation, engine, evaluation, models, moved
from .configs_path import config
from .engine.distill_config import distill
from .engine.hooks import (ChannelsLastHook, StopOnSignalHook,
                           StopWhenUsefulHook, TimeToTargetHook,
                           WeakTeacherDistillHook)
from .engine.optim_wrapper import BF16OptimWrapper
from .version import __version__

__all__ = [
    'BF16OptimWrapper', 'ChannelsLastHook', 'StopOnSignalHook',
    'StopWhenUsefulHook', 'TimeToTargetHook', 'WeakTeacherDistillHook',
    '__version__', 'config', 'distill'
]

moved.install()
