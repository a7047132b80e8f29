# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Prepare a config for a run, build the runner, and shut it down."""
import datetime
import gc
import os
import os.path as osp
import warnings
from typing import Any, Optional, Sequence

import torch.distributed as torch_dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import HOOKS, RUNNERS, Registry
from mmengine.runner import Runner

from mmw2s.configs_path import config as shipped_config
from mmw2s.engine.hooks.stop_on_signal_hook import StopOnSignalHook
from mmw2s.utils.kinds import bare_name
from mmw2s.utils.read_config import read_config, read_packaged_config

DISTILL_HOOK = 'WeakTeacherDistillHook'

# Of MMEngine's Runner, which takes None for them.
_OWN_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger',
              'param_scheduler', 'checkpoint')


def load_config(name: str, cfg_options: Optional[dict] = None) -> Config:
    """Load a config file of the user, of mmw2s or of another package.

    Args:
        name (str): A path, a name for :func:`mmw2s.config`, or one as
            ``'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'``.
        cfg_options (dict, optional): Dotted keys -> values to override.

    Returns:
        Config: The config.

    Raises:
        FileNotFoundError: If it is none of these.
        ModuleNotFoundError: If the package is not installed.
        ValueError: If the options are for hooks by position, but the config
            has none.
    """
    if '::' in name:
        cfg = read_packaged_config(name)
    else:
        cfg = read_config(name if osp.isfile(name) else _shipped(name))
    if cfg_options:
        cfg.merge_from_dict(cfg_options)
    hooks = cfg.get('default_hooks') or {}
    # "No such hook"; of others MMEngine would end with an empty error.
    for key in [key for key in hooks if hooks[key] is None]:
        if key not in _OWN_HOOKS:
            del hooks[key]
    if isinstance(cfg.get('custom_hooks'), dict):
        raise ValueError(
            f'an option names custom_hooks.{next(iter(cfg.custom_hooks))}, '
            'but the config has no such list: in those of mmw2s hooks go by '
            'name, as in default_hooks.w2s.teacher.checkpoint=...')
    return cfg


def _shipped(name: str) -> str:
    with warnings.catch_warnings():
        # Shown to whoever has typed the path of a config that has moved.
        warnings.simplefilter('always', DeprecationWarning)
        try:
            return shipped_config(name)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f'there is no file "{name}", and {error}') from None


def is_of_type(cfg: Any, name: str, registry: Registry) -> bool:
    """Whether the type of a config is a class or a subclass of it.

    Args:
        cfg (Any): The config, whose ``type`` is a class or a name with or
            without a scope; or an object built from a config.
        name (str): Name of the class.
        registry (Registry): Registry in which names are looked up.
    """
    kind = cfg.get('type') if isinstance(cfg, dict) else type(cfg)
    if isinstance(kind, str):
        bare = bare_name(kind)
        if bare == name:
            return True
        kind = registry.module_dict.get(bare)
    return isinstance(kind, type) and any(base.__name__ == name
                                          for base in kind.__mro__)


def check_checkpoint(path: str) -> None:
    """Refuse a checkpoint that does not exist, before anything is built.

    Args:
        path (str): Its path. A URL is not checked.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    if '://' not in path and not osp.exists(path):
        raise FileNotFoundError(f'the checkpoint "{path}" does not exist')


def remove_distillation(cfg: Config) -> None:
    """Turn a weak-to-strong config into its exact baseline, in place.

    Every ``WeakTeacherDistillHook`` is removed from ``custom_hooks`` and
    ``default_hooks``. Nothing else changes.

    Args:
        cfg (Config): The config of a run.

    Raises:
        ValueError: If there is no such hook. Otherwise a user might compare a
            baseline with itself.
    """
    custom = cfg.get('custom_hooks') or []
    default = cfg.get('default_hooks') or {}
    kept = [
        hook for hook in custom if not is_of_type(hook, DISTILL_HOOK, HOOKS)
    ]
    dropped = [
        key for key, hook in default.items()
        if is_of_type(hook, DISTILL_HOOK, HOOKS)
    ]
    if len(kept) == len(custom) and not dropped:
        raise ValueError(
            f'the config should have a {DISTILL_HOOK} in custom_hooks or '
            'default_hooks for it to be removed, but it has none: it is a '
            'baseline already, run it without --no-distill')
    if len(kept) < len(custom):
        cfg.custom_hooks = kept
    for key in dropped:
        default.pop(key)


def enable_amp(cfg: Config) -> None:
    """Enable mixed precision in place: float16 on a GPU, bfloat16 on a CPU.

    Args:
        cfg (Config): The config of a run.

    Raises:
        ValueError: If the optimizer wrapper is of a class that cannot be
            replaced.
    """
    kind = bare_name(cfg.optim_wrapper.get('type', 'OptimWrapper'))
    if kind in ('AmpOptimWrapper', 'BF16OptimWrapper'):
        return
    if kind != 'OptimWrapper':
        raise ValueError('--amp should be given with optim_wrapper.type='
                         f'"OptimWrapper", but got "{kind}"')
    if get_device() == 'cpu':
        cfg.optim_wrapper.type = 'BF16OptimWrapper'
    else:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def setup_launcher(cfg: Config, launcher: str) -> None:
    """Set the launcher, and make it work without a GPU, and under Slurm.

    MMEngine gives each process a CUDA device, and DistributedDataParallel the
    device's index. On a CPU, the gloo process group must exist before the
    runner is built, and ``device_ids`` of the wrapper must be None. Slurm's
    jobs get a port each, unless ``MASTER_PORT`` or the config has one.

    Args:
        cfg (Config): The config of a run, changed in place.
        launcher (str): ``none``, ``pytorch``, ``slurm`` or ``mpi``.

    Raises:
        ValueError: If there is no accelerator and the launcher is ``slurm``
            or ``mpi``.
    """
    cfg.launcher = launcher
    if launcher == 'slurm' and 'SLURM_JOB_ID' in os.environ:
        # MMEngine has one port for all jobs, which may share a node.
        os.environ.setdefault(
            'MASTER_PORT',
            str(10000 + int(os.environ['SLURM_JOB_ID']) % 20000))
    if launcher == 'none' or get_device() != 'cpu':
        return
    if launcher != 'pytorch':
        raise ValueError(
            'without an accelerator --launcher should be "pytorch" '
            f'(tools/dist_train.sh), but got "{launcher}"')
    if not torch_dist.is_initialized():
        timeout = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout')
        torch_dist.init_process_group(
            'gloo',
            timeout=None if timeout is None else datetime.timedelta(
                seconds=timeout))
    wrapper = dict(
        cfg.get('model_wrapper_cfg') or dict(
            broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False)))
    wrapper.setdefault('type', 'MMDistributedDataParallel')
    wrapper['device_ids'] = None
    cfg.model_wrapper_cfg = wrapper


def build_runner(cfg: Config) -> Runner:
    """Build the runner of the config's ``runner_type``, else MMEngine's."""
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)


def stop_on_signals(runner: Runner, signals: Sequence[str]) -> None:
    """Let signals end a run with a checkpoint.

    A ``StopOnSignalHook`` in the config goes first. Without one, a hook is
    registered here and not added to the config: the saved config should run
    without mmw2s.
    """
    if signals and not any(
            isinstance(hook, StopOnSignalHook) for hook in runner.hooks):
        runner.register_hook(StopOnSignalHook(signals))


def shut_down_processes() -> None:
    """Destroy the process group of a distributed run, if there is one.

    The threads of a group end when the last reference to it is gone. A runner
    has reference cycles, so without a garbage collection its model would keep
    the group until Python exits. A gloo thread that holds a tensor then aborts
    the process, and a finished run would exit with an error.
    """
    if torch_dist.is_initialized():
        gc.collect()
        torch_dist.destroy_process_group()
