# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import logging
import sys
from typing import Mapping, Optional

from mmengine.logging import print_log

from mmw2s.registry import STOP_RULES
from mmw2s.utils.fields import check_integer, check_number
from mmw2s.utils.text import plural
from .base import StopRule

__all__ = ['At']


@STOP_RULES.register_module()
class At(StopRule):
    """Stop at a fixed point.

    Args:
        epoch (float, optional): Number of epochs after which the distillation
            ends.
        iter (int, optional): Number of iterations after which it ends. Give
            exactly one of the two.

    Raises:
        ValueError: If both or none are given, or one is negative.

    Examples:
        >>> stop = dict(type='At', epoch=4)
    """

    def __init__(self,
                 epoch: Optional[float] = None,
                 iter: Optional[int] = None) -> None:
        super().__init__()
        if (epoch is None) == (iter is None):
            raise ValueError('At should have either "epoch" or "iter", but '
                             f'got epoch={epoch!r}, iter={iter!r}')
        if iter is None:
            check_number('At.epoch', epoch, at_least=0)
        else:
            check_integer('At.iter', iter, at_least=0)
        self.epoch, self.iter = epoch, iter

    def bind(self,
             max_iters: int,
             iters_per_epoch: float,
             teacher_metrics: Optional[Mapping[str, float]] = None) -> None:
        self._at = self.iter if self.epoch is None else round(
            min(self.epoch * iters_per_epoch, sys.maxsize))
        if self._at > max_iters:
            print_log(
                f'stop=At({plural(self._at, "iteration")}) lies beyond the '
                f'end of the run ({max_iters}): distillation is never '
                'switched off',
                logger='current',
                level=logging.WARNING)

    def ends_at(self) -> Optional[int]:
        return self._at

    def at(self, iteration: int) -> Optional[str]:
        if iteration >= self._at:
            return f'iteration {iteration} is reached, as set'
        return None
