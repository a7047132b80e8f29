# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import List, Optional, Tuple

from torch import Tensor, nn

from mmw2s.registry import KNOWLEDGE
from mmw2s.utils.fields import check_integer
from ..teacher_outputs import TeacherOutputs
from .base import Pair, Recorded
from .dense_head import DenseHeadOutputs

__all__ = ['CrossHeadScores']


@KNOWLEDGE.register_module()
class CrossHeadScores(DenseHeadOutputs):
    """The student's features through the last layers of the teacher's head.

    As in `CrossKD <https://arxiv.org/abs/2306.11369>`_, the features within
    the student's head go on through the teacher's last convolutions and its
    classifier. The scores are compared with the teacher's own. So the
    distillation teaches the student's features, and leaves its classifier to
    the task, whose labels may contradict the teacher.

    The gradient flows through the teacher's layers, which stay frozen. So a
    step costs their forward once more and a backward to their input: at each
    level ``left`` convolutions and the classifier. The boxes of CrossKD are
    not here: many heads change them after their last convolution.

    Pairs, weights and normalizer are as in :class:`DenseHeadOutputs`.

    Args:
        module (str): The student's dense head. Defaults to ``'bbox_head'``.
        teacher_module (str, optional): The teacher's head. Defaults to the
            same name.
        left (int): How many convolutions of the teacher's ``cls_convs`` the
            features still go through. The student's go through all but as
            many of its own before. Defaults to 1: of four, the paper's best.
        positive_thr (float): As in :class:`DenseHeadOutputs`. Defaults to
            0.05.

    Raises:
        ValueError: As in :class:`DenseHeadOutputs`; from :meth:`check`, if a
            head has no such convolutions, or the channels between them
            differ.

    Examples:
        >>> distill = [dict(
        >>>     knowledge=dict(type='CrossHeadScores'),
        >>>     loss=dict(type='QualityFocalKDLoss', loss_weight=1.))]
    """

    name = 'cross'

    def __init__(self,
                 module: str = 'bbox_head',
                 teacher_module: Optional[str] = None,
                 left: int = 1,
                 positive_thr: float = 0.05) -> None:
        super().__init__(
            module=module,
            teacher_module=teacher_module,
            positive_thr=positive_thr)
        check_integer('CrossHeadScores.left', left, at_least=0)
        self.left = left
        self._features = ''

    @property
    def student_modules(self) -> Tuple[str, ...]:
        return (self.module, self._features)

    def check(self, student: nn.Module, teacher: nn.Module) -> None:
        """Compare the layers within the heads too."""
        super().check(student, teacher)
        heads = self.modules_of(student, teacher)
        for owner, head in zip(('student', 'teacher'), heads):
            convs = getattr(head, 'cls_convs', ())
            if len(convs) <= self.left or any(
                    isinstance(conv, nn.ModuleList) for conv in convs):
                raise ValueError(
                    f'the {owner}\'s {type(head).__name__} has '
                    f'{len(convs)} layers of cls_convs shared by all levels, '
                    f'but CrossHeadScores.left={self.left} needs more than '
                    'these: give a smaller number, or use DenseHeadOutputs')
        _classifier(heads[1])
        self._refuse_difference(
            'channels within its cls_convs', *(_width(h) for h in heads),
            'its layers take no others. Use a teacher with the student\'s '
            'feat_channels, or DenseHeadOutputs')

    def bind(self, student: nn.Module, teacher: nn.Module) -> None:
        """Keep the teacher's last layers."""
        super().bind(student, teacher)
        head, of_teacher = self.modules_of(student, teacher)
        last = len(head.cls_convs) - 1 - self.left
        self._features = f'{self.module}.cls_convs.{last}'
        convs = list(of_teacher.cls_convs)
        self._rest = [*convs[len(convs) - self.left:], _classifier(of_teacher)]

    def pairs(self, recorded: Recorded, outputs: TeacherOutputs) -> List[Pair]:
        features, pairs = list(recorded[self._features]), []
        for i, teacher in enumerate(outputs[self.teacher_module]):
            scores, confidence, avg_factor = outputs.memo(
                (self.teacher_module, i, self.positive_thr), self._confidence,
                teacher.output[0])
            own, features = features[:len(scores)], features[len(scores):]
            crossed = [self._through(call.output) for call in own]
            pairs += self._pairs_of_call(
                self._per_anchor(crossed), scores, confidence, avg_factor)
        return pairs

    def _through(self, features: Tensor) -> Tensor:
        for layer in self._rest:
            features = layer(features)
        return features


def _width(head: nn.Module) -> int:
    """Number of channels that the layers of the classifier's branch have."""
    return _classifier(head).in_channels


def _classifier(head: nn.Module) -> nn.Module:
    """The convolution that gives the scores."""
    wanted = {
        count * head.cls_out_channels
        for count in head.prior_generator.num_base_priors
    }
    found = [
        layer for name, layer in head.named_children() if 'cls' in name
        and isinstance(layer, nn.Conv2d) and {layer.out_channels} == wanted
    ]
    if len(found) != 1:
        raise ValueError(
            f'a {type(head).__name__} has no single convolution that gives '
            'its class scores: use DenseHeadOutputs')
    return found[0]
