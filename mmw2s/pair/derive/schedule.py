# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The length of a run, and a run of another length."""
from mmengine.config import Config

__all__ = ['counts_epochs', 'run_length', 'shorten']

# What of a scheduler of parameters is a number of epochs or iterations.
_POINTS = ('begin', 'end', 'T_max', 'total_steps', 'step_size')
_LISTS = ('milestones', 'periods')


def counts_epochs(cfg: Config) -> bool:
    """Whether the loop of a run counts epochs, not iterations."""
    return 'max_epochs' in cfg.train_cfg


def run_length(cfg: Config) -> int:
    """Number of the epochs or iterations of a run."""
    key = 'max_epochs' if counts_epochs(cfg) else 'max_iters'
    if key not in cfg.train_cfg:
        raise ValueError('train_cfg should have max_epochs or max_iters, but '
                         f'has {", ".join(cfg.train_cfg)}')
    return cfg.train_cfg[key]


def shorten(cfg: Config, share: float) -> None:
    """Make a run a part as long, with its learning rate, in place.

    Every point of ``param_scheduler`` moves by the same factor, the warm-up's
    too. Numbers are rounded down.

    Args:
        cfg (Config): The config of a run.
        share (float): The part of its length.
    """

    def moved(point: int) -> int:
        return point and max(1, int(point * share))

    key = 'max_epochs' if counts_epochs(cfg) else 'max_iters'
    cfg.train_cfg[key] = moved(run_length(cfg))
    interval = cfg.train_cfg.get('val_interval', 1)
    cfg.train_cfg['val_interval'] = min(interval, cfg.train_cfg[key])
    schedulers = cfg.get('param_scheduler') or []
    if isinstance(schedulers, dict):
        schedulers = [schedulers]
    for scheduler in schedulers:
        for name in _POINTS:
            if isinstance(scheduler.get(name), int):
                scheduler[name] = moved(scheduler[name])
        for name in _LISTS:
            if name in scheduler:
                scheduler[name] = [moved(point) for point in scheduler[name]]
