# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Optional, Tuple, Union

from torch import nn

from mmw2s.registry import KNOWLEDGE
from .dense_head import DenseHeadOutputs

__all__ = ['RPNOutputs', 'needs_proposals']


@KNOWLEDGE.register_module()
class RPNOutputs(DenseHeadOutputs):
    """Objectness or box deltas of a region proposal network.

    The network is a dense head with one class, "object". So student and
    teacher may know different classes. By default only the anchors that the
    teacher would propose are compared: an untrained RPN gives each of 200,000
    anchors a probability of one half, and all of them together would drown
    the task's loss in the first steps.

    Args:
        output (str): ``'scores'`` or ``'boxes'``. Defaults to ``'scores'``.
        module (str): The student's RPN. Defaults to ``'rpn_head'``.
        teacher_module (str, optional): The teacher's RPN. Defaults to the
            same name.
        anchors (str or int): ``'all'``, or the number of anchors to compare
            in each image, those of which the teacher is surest. Defaults to
            2000, as many as mmdet's RPNs take into their NMS.
        positive_thr (float): As in :class:`DenseHeadOutputs`.
            Defaults to 0.05.

    Raises:
        ValueError: As in :class:`DenseHeadOutputs`.

    Examples:
        >>> distill = [dict(
        >>>     knowledge=dict(type='RPNOutputs'),
        >>>     loss=dict(type='QualityFocalKDLoss', loss_weight=1.))]
    """

    by_class = False

    def __init__(self,
                 output: str = 'scores',
                 module: str = 'rpn_head',
                 teacher_module: Optional[str] = None,
                 anchors: Union[str, int] = 2000,
                 positive_thr: float = 0.05) -> None:
        super().__init__(output, module, teacher_module, anchors, positive_thr)

    @property
    def name(self) -> str:  # type: ignore[override]
        return 'rpn' if self.output == 'scores' else 'rpn_box'

    def modules_of(self, student: nn.Module,
                   teacher: nn.Module) -> Tuple[nn.Module, nn.Module]:
        """The region proposal network of each of the two models."""
        for owner, model, name in (('student', student, self.module),
                                   ('teacher', teacher, self.teacher_module)):
            if needs_proposals(model) and name == 'rpn_head':
                raise ValueError(
                    f'the {owner} ({type(model).__name__}) has no module '
                    f'"{name}": it is given its proposals, as Fast R-CNN is, '
                    'and has none to compare. Leave RPNOutputs out')
        return super().modules_of(student, teacher)


def needs_proposals(model: nn.Module) -> bool:
    """Whether a two-stage detector makes no proposals of its own."""
    return hasattr(model, 'roi_head') and not hasattr(model, 'rpn_head')
