# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Compares the task losses of student and teacher on a training batch."""
import copy
import logging
from typing import Any, Dict, List, Optional

import torch
from mmengine.dist import all_reduce
from mmengine.logging import print_log
from torch import nn

from .batch import ARGUMENTS
from .distiller import Distiller, task_losses

__all__ = ['LossLooks']


class LossLooks:
    """Compares the task losses of the two models, every so many iterations.

    Each comparison costs a teacher forward with its losses, and makes the
    host wait for the device. Some models, such as RTMDet-Ins, change the data
    samples while they compute their losses. So the teacher is given a copy
    that was made before the student's forward, in these iterations alone.

    Make it before the distiller is attached, so that it sees the student's
    own losses.

    Args:
        distiller (Distiller): The distiller of student and teacher.
        *intervals (int): Numbers of iterations between two comparisons, one
            for each that asks for them.
    """

    def __init__(self, distiller: Distiller, *intervals: int) -> None:
        self._distiller, self._intervals = distiller, intervals
        # The method that sums up the losses in the student's own train_step.
        self._parse_losses = distiller.student.parse_losses
        self._latest: Optional[Dict[str, float]] = None
        self._tried = False
        self._kept: Any = None
        self._told = False
        # A compiled model calls them around its graphs.
        keep, look = map(torch.compiler.disable, (self._keep, self._look))
        self._handles = [
            distiller.student.register_forward_pre_hook(
                keep, with_kwargs=True),
            distiller.student.register_forward_hook(look, with_kwargs=True)
        ]

    def take(self) -> Optional[Dict[str, float]]:
        """The losses of both after an iteration that compared them.

        Returns:
            dict[str, float], optional: ``student`` and ``teacher``. None
            after other iterations, and at the second call.
        """
        latest, self._latest = self._latest, None
        return latest

    @property
    def counts(self) -> bool:
        """Whether the losses of this iteration are asked for."""
        done = self._distiller.iteration + 1
        return any(done % interval == 0 for interval in self._intervals)

    @property
    def is_due(self) -> bool:
        """Whether to look in this iteration.

        It also looks in the first iteration. So if the losses cannot be
        compared, the run ends at once.
        """
        return self.counts or not self._tried

    def _keep(self, module: nn.Module, args: tuple, kwargs: dict) -> None:
        batch = dict(zip(ARGUMENTS, args), **kwargs)
        self._kept = None
        if batch.get('mode') == 'loss' and module.training and self.is_due:
            self._kept = copy.deepcopy(batch.get('data_samples'))

    def _look(self, module: nn.Module, args: tuple, kwargs: dict,
              output: Any) -> None:
        batch = dict(zip(ARGUMENTS, args), **kwargs)
        if batch.get('mode') != 'loss' or not module.training or \
                not self.is_due:
            return
        kept, self._kept, self._tried = self._kept, None, True
        outputs = self._distiller.teacher_outputs(batch.get('inputs'), kept)
        compared = self.compare(task_losses(output), outputs.task_losses())
        if self.counts:
            self._latest = compared

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
        """Take the hooks off the student."""
        self._kept = self._latest = None
        for handle in self._handles:
            handle.remove()
        self._handles = []
