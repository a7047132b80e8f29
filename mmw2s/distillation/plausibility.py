# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Warnings of settings that are allowed, but probably a mistake."""
import logging
from typing import Optional, Sequence

from mmengine.logging import print_log

from .schedules import Schedule
from .stop_rules import At, StopRule
from .terms import Term

__all__ = ['warn_of_odd_settings']


def warn_of_odd_settings(schedule: Schedule,
                         terms: Sequence[Term],
                         stop: StopRule,
                         stop_cfg: Optional[dict] = None,
                         is_default_schedule: bool = False) -> None:
    """Warn of a distillation that does nothing or ends too early.

    Args:
        schedule (Schedule): The schedule of the strength, bound to the run.
        terms (Sequence[Term]): What is distilled.
        stop (StopRule): The stop rule, bound to the run.
        stop_cfg (dict, optional): Its config as the user gave it. Defaults to
            None: the user gave none.
        is_default_schedule (bool): Whether the user gave no schedule.
            Defaults to False.
    """
    for message in (_no_strength(schedule, terms), _early_stop(schedule, stop),
                    _late_stop(schedule, stop, stop_cfg)
                    if is_default_schedule else None):
        if message is not None:
            print_log(message, logger='current', level=logging.WARNING)


def _no_strength(schedule: Schedule, terms: Sequence[Term]) -> Optional[str]:
    if schedule.zero_from() == 0:
        return (f'The strength is 0 all along (schedule='
                f'{type(schedule).__name__}): nothing is distilled. Give the '
                'schedule a value, or a length, above 0, or leave the hook '
                'out')
    for term in terms:
        if term.schedule is not None and term.schedule.zero_from() == 0:
            return (f'The schedule of {term.key} is 0 all along: it is not '
                    'distilled. Give it a value, or a length, above 0, or '
                    'leave the entry out')
    if all(term.weighs_nothing for term in terms):
        return ('The loss_weight of ' +
                ', '.join(f'{type(t.loss).__name__} ({t.key})'
                          for t in terms) +
                ' is 0: nothing is distilled. Give a loss_weight above 0, or '
                'leave the hook out')
    return None


def _early_stop(schedule: Schedule, stop: StopRule) -> Optional[str]:
    top = schedule.top_iter()
    if stop.at(top) is None:
        return None
    stopped = next(i for i in range(top + 1) if stop.at(i) is not None)
    rule = type(stop).__name__
    if stopped == 0:
        return (f'stop={rule} ends the distillation at iteration 0: nothing '
                'is distilled')
    return (f'stop={rule} ends the distillation at iteration {stopped}, '
            'before the schedule has come to its full strength at iteration '
            f'{top}: shorten the warm-up of {type(schedule).__name__}, or '
            'stop later')


def _late_stop(schedule: Schedule, stop: StopRule,
               stop_cfg: Optional[dict]) -> Optional[str]:
    """Warn if the default schedule ends before the point that a user gave."""
    zero_from = schedule.zero_from()
    if stop_cfg is None or zero_from is None or \
            not isinstance(stop, At) or stop.at(zero_from) is not None:
        return None
    return (f'stop={stop_cfg} lies beyond iteration {zero_from}, at '
            'which the default schedule has faded to 0 and ends the '
            'distillation. To keep its full strength until the stop, '
            'give schedule=dict(type="WarmupHoldDecay", warmup=0.02, '
            'unit="run")')
