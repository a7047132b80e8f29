# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The length of a run, and a run of another length."""
from typing import List

from mmengine.config import Config

from mmw2s.utils.flat import dicts_in
from mmw2s.utils.hook_configs import all_hooks
from mmw2s.utils.kinds import bare_name

__all__ = [
    'counts_epochs', 'count_validations', 'run_length', 'scale_lr', 'shorten',
    'val_interval'
]

# What of a scheduler of parameters is a number of epochs or iterations.
_POINTS = ('begin', 'end', 'T_max', 'total_steps', 'step_size')
_LISTS = ('milestones', 'periods')
# What is a learning rate, and no factor of one.
_RATES = ('eta_min', 'eta_max')
# What of a hook is: mmdet's and mmpretrain's that change the pipeline or the
# loss at a point of the run, and averages of weights that begin later.
_HOOK_POINTS = ('switch_epoch', 'switch_iter', 'num_last_epochs',
                'begin_epoch', 'begin_iter', 'start_epoch', 'start_iter',
                'action_epoch')


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


def val_interval(cfg: Config) -> int:
    """From one validation of a run to the next, by MMEngine's default too."""
    return cfg.train_cfg.get('val_interval', 1 if counts_epochs(cfg) else 1000)


def count_validations(cfg: Config) -> int:
    """Number of the validations of a run; the last step has one always."""
    length, begin = run_length(cfg), cfg.train_cfg.get('val_begin', 1)
    interval = val_interval(cfg)
    count = length // interval - (begin - 1) // interval
    return max(0, count) + (length % interval > 0 and length >= begin)


def shorten(cfg: Config, share: float) -> None:
    """Make a run a part as long, with its learning rate, in place.

    Every point of ``param_scheduler`` moves by the same factor, the warm-up's
    too, and so do the first validation, the points of ``dynamic_intervals``
    and those at which a hook changes something, such as the ``switch_epoch``
    of mmdet's ``PipelineSwitchHook``. Numbers are rounded down. Of a schedule
    whose end falls on its begin nothing is left.

    Args:
        cfg (Config): The config of a run.
        share (float): The part of its length.
    """

    def moved(point: int) -> int:
        # 100 * 0.57 is 56.99... in floats.
        return point and max(1, int(point * share + 1e-9))

    key = 'max_epochs' if counts_epochs(cfg) else 'max_iters'
    cfg.train_cfg[key] = moved(run_length(cfg))
    cfg.train_cfg['val_interval'] = min(val_interval(cfg), cfg.train_cfg[key])
    if 'val_begin' in cfg.train_cfg:
        cfg.train_cfg['val_begin'] = moved(cfg.train_cfg['val_begin'])
    if cfg.train_cfg.get('dynamic_intervals'):
        cfg.train_cfg['dynamic_intervals'] = [
            (moved(begin), interval)
            for begin, interval in cfg.train_cfg['dynamic_intervals']
        ]
    for hook in dicts_in(all_hooks(cfg)):
        for name in _HOOK_POINTS:
            if isinstance(hook.get(name), int):
                hook[name] = moved(hook[name])
    schedulers = _schedulers(cfg)
    for scheduler in schedulers:
        for name in _POINTS:
            if isinstance(scheduler.get(name), int):
                scheduler[name] = moved(scheduler[name])
        for name in _LISTS:
            if name in scheduler:
                scheduler[name] = [moved(point) for point in scheduler[name]]
    if isinstance(cfg.get('param_scheduler'), list):
        cfg.param_scheduler = list(filter(_lasts, schedulers))


def scale_lr(cfg: Config, factor: float) -> None:
    """Multiply the learning rate of a run, and its bounds, in place.

    Args:
        cfg (Config): The config of a run.
        factor (float): The factor.

    Raises:
        ValueError: If ``optim_wrapper.optimizer`` has no ``lr``.
    """
    optimizer = cfg.get('optim_wrapper', {}).get('optimizer') or {}
    if not isinstance(optimizer.get('lr'), (int, float)):
        raise ValueError(
            'optim_wrapper.optimizer.lr should be a number, but it is '
            f'{optimizer.get("lr")!r}: write another learning rate into the '
            'config')
    optimizer['lr'] *= factor
    for scheduler in _schedulers(cfg):
        if bare_name(scheduler['type']).endswith('LR'):
            for name in _RATES:
                if isinstance(scheduler.get(name), (int, float)):
                    scheduler[name] *= factor


def _schedulers(cfg: Config) -> List[dict]:
    schedulers = cfg.get('param_scheduler') or []
    return [schedulers] if isinstance(schedulers, dict) else list(schedulers)


def _lasts(scheduler: dict) -> bool:
    """Whether a scheduler has a length; MMEngine refuses one without."""
    end = scheduler.get('end')
    return end is None or end > scheduler.get('begin', 0)
