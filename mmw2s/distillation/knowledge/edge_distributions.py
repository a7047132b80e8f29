# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import List, Optional

from torch import nn

from mmw2s.registry import KNOWLEDGE
from ..teacher_outputs import TeacherOutputs
from .base import Pair, Recorded
from .dense_head import DenseHeadOutputs

__all__ = ['EdgeDistributions']


@KNOWLEDGE.register_module()
class EdgeDistributions(DenseHeadOutputs):
    """Where the edges of a box are, as heads of the GFL family say it.

    Such a head gives, for each edge of an anchor's box, logits of
    ``reg_max + 1`` distances. They are compared as in `LD
    <https://arxiv.org/abs/2102.12252>`_, by ``KDLoss`` at a high
    temperature. A pair has the shape (B, H, W, A, 4, reg_max + 1).

    An anchor counts by the probability that the teacher gives to its
    likeliest class, which this family trains to be the quality of the box,
    if it is one of the teacher's positives. The sum is divided by the number
    of positives, as :class:`DenseHeadOutputs` has it, and of edges. (In the
    paper anchors are those that the student is trained on, and a region about
    them, whatever the teacher says there.)

    Args:
        module (str): The student's dense head. Defaults to ``'bbox_head'``.
        teacher_module (str, optional): The teacher's head. Defaults to the
            same name.
        positive_thr (float): As in :class:`DenseHeadOutputs`. Defaults to
            0.05.

    Raises:
        ValueError: As in :class:`DenseHeadOutputs`; from :meth:`check`, if a
            head gives no such distributions, or the two have other
            ``reg_max``.

    Examples:
        >>> distill = [dict(
        >>>     knowledge=dict(type='EdgeDistributions'),
        >>>     loss=dict(type='KDLoss', temperature=10., loss_weight=0.25))]
    """

    name = 'edges'

    def __init__(self,
                 module: str = 'bbox_head',
                 teacher_module: Optional[str] = None,
                 positive_thr: float = 0.05) -> None:
        super().__init__(
            module=module,
            teacher_module=teacher_module,
            positive_thr=positive_thr)

    def check(self, student: nn.Module, teacher: nn.Module) -> None:
        """Compare the distances too."""
        super().check(student, teacher)
        heads = self.modules_of(student, teacher)
        for owner, head in zip(('student', 'teacher'), heads):
            if not hasattr(head, 'reg_max') or not hasattr(head, 'integral'):
                raise ValueError(
                    f'the {owner}\'s head is a {type(head).__name__}, which '
                    'gives one number for an edge of a box, no distribution: '
                    'use DenseHeadOutputs, output="boxes"')
        self._refuse_difference(
            'as reg_max', *(head.reg_max for head in heads),
            'distances are paired one by one. Use a teacher with the '
            'student\'s reg_max')

    def bind(self, student: nn.Module, teacher: nn.Module) -> None:
        super().bind(student, teacher)
        self.gives = 'softmax scores'

    def pairs(self, recorded: Recorded, outputs: TeacherOutputs) -> List[Pair]:
        pairs = []
        for i, calls in enumerate(
                zip(recorded[self.module], outputs[self.teacher_module])):
            _, confidence, avg_factor = outputs.memo(
                (self.teacher_module, i, self.positive_thr), self._confidence,
                calls[1].output[0])
            levels = ([
                edges.unflatten(-1, (4, -1))
                for edges in self._per_anchor(call.output[1])
            ] for call in calls)
            for n, (student, teacher,
                    sure) in enumerate(zip(*levels, confidence)):
                weight = sure * (sure >= self.positive_thr)
                pairs.append(
                    Pair(f'{self.module}.edges[{n}]', student, teacher,
                         weight[..., None], 4 * avg_factor))
        return pairs
