# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What the tools do to a config, before and after a run."""
import datetime
import gc
import os.path as osp
from typing import Any, Optional, Sequence

import torch.distributed as torch_dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import HOOKS, RUNNERS, Registry
from mmengine.runner import Runner

from mmw2s.configs_path import config as shipped_config
from mmw2s.engine.hooks.stop_on_signal_hook import StopOnSignalHook

DISTILL_HOOK = 'WeakTeacherDistillHook'


def load_config(name: str, cfg_options: Optional[dict] = None) -> Config:
    """Load a config file, one's own or one that comes with mmw2s.

    Args:
        name (str): A path, or a name that :func:`mmw2s.config` knows.
        cfg_options (dict, optional): What to override.

    Returns:
        Config: The config.

    Raises:
        FileNotFoundError: If it is neither.
    """
    cfg = Config.fromfile(name if osp.isfile(name) else shipped_config(name))
    if cfg_options:
        cfg.merge_from_dict(cfg_options)
    return cfg


def is_of_type(cfg: Any, name: str, registry: Registry) -> bool:
    """Whether a config is of a class or one derived from it.

    Args:
        cfg (Any): The config, whichever way its type is written, or what was
            built from one.
        name (str): The bare name of the class.
        registry (Registry): Where its subclasses are.
    """
    kind = cfg.get('type') if isinstance(cfg, dict) else type(cfg)
    if isinstance(kind, str):
        bare = kind.rsplit('.', 1)[-1]
        if bare == name:
            return True
        kind = registry.module_dict.get(bare)
    return isinstance(kind, type) and any(base.__name__ == name
                                          for base in kind.__mro__)


def check_checkpoint(path: str) -> None:
    """Refuse a checkpoint that is not there, before anything is built.

    Args:
        path (str): Its path; a URL is left to who loads it.

    Raises:
        FileNotFoundError: If nothing is there.
    """
    if '://' not in path and not osp.exists(path):
        raise FileNotFoundError(f'the checkpoint "{path}" does not exist')


def remove_distillation(cfg: Config) -> None:
    """Turn a weak-to-strong config into its exact baseline, in place.

    Every ``WeakTeacherDistillHook`` goes, from ``custom_hooks`` and from
    ``default_hooks``, whichever way its type is written. All else stays.

    Args:
        cfg (Config): The config of a run.

    Raises:
        ValueError: If there is no such hook, so that a baseline is never
            compared with itself.
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
    """Switch mixed precision on, in place: fp16 on a GPU, bf16 on a CPU.

    Args:
        cfg (Config): The config of a run.

    Raises:
        ValueError: If the optimizer wrapper is not one that can be replaced.
    """
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    kind = kind if isinstance(kind, str) else kind.__name__
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
    """Set the launcher, and make it work where there is no accelerator.

    MMEngine selects a CUDA device when it initializes the processes and hands
    it to DistributedDataParallel. Without one, the gloo group has to exist
    before the runner is built, and the wrapper has to be told.

    Args:
        cfg (Config): The config of a run, changed in place.
        launcher (str): ``none``, ``pytorch``, ``slurm`` or ``mpi``.

    Raises:
        ValueError: If there is no accelerator and the launcher is ``slurm``
            or ``mpi``.
    """
    cfg.launcher = launcher
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
    """Build the runner that the config asks for, MMEngine's by default."""
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)


def stop_on_signals(runner: Runner, signals: Sequence[str]) -> None:
    """Let signals end a run with a checkpoint, unless its config says how.

    Not by the config: what it is saved as should run where mmw2s is not.
    """
    if signals and not any(
            isinstance(hook, StopOnSignalHook) for hook in runner.hooks):
        runner.register_hook(StopOnSignalHook(signals))


def shut_down_processes() -> None:
    """End this process's part in a distributed run, if it has one.

    The threads of a process group end when nothing refers to it any more. A
    runner is full of cycles, so that without a collection its model keeps the
    group alive until the interpreter dies, and a gloo thread that then still
    holds a tensor aborts the process: a finished run would end as a failed
    one.
    """
    if torch_dist.is_initialized():
        gc.collect()
        torch_dist.destroy_process_group()
