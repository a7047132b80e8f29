# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Looks at the task's losses of student and teacher on one batch."""
import copy
import logging
from typing import Any, Dict, List, Optional

import torch
from mmengine.dist import all_reduce
from mmengine.logging import print_log
from torch import nn

__all__ = ['LossLooks']


class LossLooks:
    """Says when to compare the losses of the two models, and compares them.

    Some models, such as RTMDet-Ins, change the data samples while they
    compute their losses. The teacher is therefore given a copy from before
    the student's forward, made in the iterations of a look alone.

    Args:
        student (nn.Module): The inner model.
    """

    def __init__(self, student: nn.Module) -> None:
        self._student = student
        # The student sums its losses as its own train_step does.
        self._parse_losses = student.parse_losses
        self._interval: Optional[int] = None
        self._iteration = 0
        self._tried = False
        self._kept: Any = None
        self._handle: Any = None
        self._told = False

    def every(self, interval: Optional[int]) -> None:
        """Look in every so many iterations, and try it in the first one.

        An error then ends a run at once, not at the first of its looks.
        """
        self._interval = interval
        if interval is not None and self._handle is None:
            # A compiled model calls it before its graphs.
            self._handle = self._student.register_forward_pre_hook(
                torch.compiler.disable(self._keep), with_kwargs=True)

    def set_progress(self, iteration: int) -> None:
        """Say which iteration is to come."""
        self._iteration, self._kept = iteration, None

    @property
    def counts(self) -> bool:
        """Whether the losses of this iteration are asked for."""
        return self._interval is not None and \
            (self._iteration + 1) % self._interval == 0

    @property
    def is_due(self) -> bool:
        """Whether to look in this iteration, if only to see that it works."""
        return self.counts or (self._interval is not None and not self._tried)

    def _keep(self, module: nn.Module, args: tuple, kwargs: dict) -> None:
        batch = dict(zip(('inputs', 'data_samples', 'mode'), args), **kwargs)
        if batch.get('mode') == 'loss' and module.training and self.is_due:
            self._kept = copy.deepcopy(batch.get('data_samples'))

    def samples(self, data_samples: Any) -> Any:
        """Those of the batch as they were before the student's forward."""
        self._tried = True
        kept, self._kept = self._kept, None
        return data_samples if kept is None else kept

    def compare(self, student: Dict[str, Any],
                teacher: Dict[str, Any]) -> Dict[str, float]:
        """Both losses, summed over what both have and averaged over ranks.

        Raises:
            ValueError: If the two have no loss in common.
        """
        names = self._common(student, teacher)
        losses = torch.stack([
            self._parse_losses({name: losses[name]
                                for name in names})[0].detach().float()
            for losses in (student, teacher)
        ])
        all_reduce(losses, 'mean')
        return dict(zip(('student', 'teacher'), losses.tolist()))

    def _common(self, student: Dict[str, Any],
                teacher: Dict[str, Any]) -> List[str]:
        of_each = [[name for name in losses if 'loss' in name]
                   for losses in (student, teacher)]
        common = [name for name in of_each[0] if name in of_each[1]]
        if not common:
            raise ValueError(
                'the student and its teacher have no loss in common (the '
                f'student has {", ".join(of_each[0])}, the teacher '
                f'{", ".join(of_each[1])}), so that they cannot be compared: '
                'use a stop without training losses, stop=dict(type="At", '
                '...)')
        alone = sorted(set(of_each[0]) ^ set(of_each[1]))
        if alone and not self._told:
            self._told = True
            print_log(
                'The training losses of student and teacher are compared by '
                f'{", ".join(common)} alone: only one of the two has '
                f'{", ".join(alone)}. If their heads are of different kinds, '
                'this says little: use stop=dict(type="At", ...)',
                logger='current',
                level=logging.WARNING)
        return common

    def remove(self) -> None:
        """Take the hook off the student."""
        self._kept = None
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
