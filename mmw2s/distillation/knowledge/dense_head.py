# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import List, Optional, Sequence, Tuple, Union

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from mmw2s.registry import KNOWLEDGE
from ..teacher import TeacherView
from .base import Captured, Knowledge, Pair

__all__ = ['DenseHeadOutputs']

# Heads whose forward gives probabilities where the others give logits.
_GIVES_PROBABILITIES = ('TOODHead', )


@KNOWLEDGE.register_module()
class DenseHeadOutputs(Knowledge):
    """Class scores or box deltas of a dense, anchor- or point-based head.

    Read from the head's own forward, so the student's is never run twice.
    Tensors are views of shape (B, H, W, A, C) a level, C being the classes or
    the box code, A the anchors a location; nothing is copied.

    Every pair of scores is divided by the teacher's positives, summed over
    levels and averaged over ranks like the detectors' own ``avg_factor``: the
    sum of the best class probabilities of the anchors in which this is
    at least ``positive_thr``, and at least 1. Box deltas are weighted by that
    probability, and count on positive anchors only.

    Args:
        output (str): ``'scores'`` or ``'boxes'``. Defaults to ``'scores'``.
        module (str): The student's dense head. Defaults to ``'bbox_head'``.
        teacher_module (str, optional): The teacher's. Defaults to the same
            name.
        anchors (str or int): ``'all'``, or the number of anchors an image of
            which the teacher is surest: memory then no longer grows with the
            image (200,000 anchors x 80 classes an image at full COCO size).
            Defaults to ``'all'``.
        positive_thr (float): Probability from which on an anchor counts as
            one of the teacher's positives. Defaults to 0.05, mmdet's usual
            ``score_thr``.
    """

    by_class = True
    training_form = True

    def __init__(self,
                 output: str = 'scores',
                 module: str = 'bbox_head',
                 teacher_module: Optional[str] = None,
                 anchors: Union[str, int] = 'all',
                 positive_thr: float = 0.05) -> None:
        super().__init__(module, teacher_module)
        if output not in ('scores', 'boxes'):
            raise ValueError('DenseHeadOutputs.output should be "scores" or '
                             f'"boxes", but got {output!r}')
        if anchors != 'all' and not (isinstance(anchors, int)
                                     and anchors > 0):
            raise ValueError('DenseHeadOutputs.anchors should be "all" or a '
                             f'positive number, but got {anchors!r}')
        if not 0 <= positive_thr < 1:
            raise ValueError('DenseHeadOutputs.positive_thr should be a '
                             f'probability, but got {positive_thr!r}')
        self.output = output
        self.anchors = anchors
        self.positive_thr = positive_thr

    @property
    def name(self) -> str:  # type: ignore[override]
        return 'cls' if self.output == 'scores' else 'box'

    def check(self, student: nn.Module, teacher: nn.Module) -> None:
        """Compare classes, strides, anchors and box codes of the heads."""
        ours, theirs = self.modules_of(student, teacher)
        for owner, head in (('student', ours), ('teacher', theirs)):
            if not hasattr(head, 'prior_generator'):
                raise ValueError(
                    f'the {owner}\'s {self.module} is a '
                    f'{type(head).__name__}, not a dense head with a '
                    'prior_generator: DenseHeadOutputs cannot read it. '
                    'Distil features instead (knowledge FPNFeatures)')
        self._refuse_difference(
            'classes', ours.num_classes, theirs.num_classes,
            'scores are paired class by class. Use a teacher trained on the '
            'student\'s classes, or distil features only (knowledge '
            'FPNFeatures)')
        self._refuse_difference(
            'activation', _activation(ours), _activation(theirs),
            'scores of different kinds cannot be compared. Use a teacher '
            'with the student\'s kind of classification loss')
        self._refuse_difference(
            'strides', [tuple(s) for s in ours.prior_generator.strides],
            [tuple(s) for s in theirs.prior_generator.strides],
            'locations are paired level by level. Use a teacher with the '
            'student\'s levels')
        self._refuse_difference(
            'anchors', _anchors(ours), _anchors(theirs),
            'outputs are paired anchor by anchor. Give both heads the same '
            'anchor generator')
        if self.output == 'boxes':
            self._refuse_difference(
                'box code', _box_code(ours), _box_code(theirs),
                'box deltas are only comparable in one code. Give both heads '
                'the same bbox_coder, or leave the boxes out')
        self._student_head, self._teacher_head = ours, theirs

    def _refuse_difference(self, what: str, ours, theirs, why: str) -> None:
        if ours != theirs:
            raise ValueError(f'teacher head has {theirs} {what}, the '
                             f'student\'s {ours}: {why}')

    def pairs(self, captured: Captured, view: TeacherView) -> List[Pair]:
        pairs = []
        for i, (ours, theirs) in enumerate(
                zip(captured[self.module], view[self.teacher_module])):
            scores = [
                self._per_anchor(level, self._teacher_head)
                for level in theirs.output[0]
            ]
            # Scores and boxes of one head share this.
            certainty, avg_factor = view.memo(
                (self.teacher_module, i, self.positive_thr),
                lambda: self._certainty(scores))
            pairs += self._pairs_of_call(ours.output, theirs.output, scores,
                                         certainty, avg_factor)
        return pairs

    def _certainty(self, scores: Sequence[Tensor]
                   ) -> Tuple[List[Tensor], Tensor]:
        """The teacher's confidence in each anchor, and its positives."""
        certainty = [
            _best_probability(level, self._teacher_head) for level in scores
        ]
        certainty = [c * (c >= self.positive_thr) for c in certainty]
        # As mmdet's reduce_mean: ranks with few positives do not weigh more.
        positives = torch.stack([c.sum() for c in certainty]).sum()
        all_reduce(positives, 'mean')
        return certainty, positives.clamp(min=1)

    def _pairs_of_call(self, ours: Sequence, theirs: Sequence,
                       scores: Sequence[Tensor], certainty: Sequence[Tensor],
                       avg_factor: Tensor) -> List[Pair]:
        if self.output == 'scores':
            student = [
                _to_logits(self._per_anchor(level, self._student_head),
                           self._student_head) for level in ours[0]
            ]
            teacher = [_to_logits(s, self._teacher_head) for s in scores]
            weights: Sequence[Optional[Tensor]] = [None] * len(student)
        else:
            student, teacher = ([
                self._per_anchor(level, self._teacher_head)
                for level in outputs[1]
            ] for outputs in (ours, theirs))
            weights = certainty
        names = [f'{self.module}.{self.output}[{i}]'
                 for i in range(len(student))]
        for name, s, t in zip(names, student, teacher):
            if s.shape != t.shape:
                raise ValueError(
                    f'{name}: the student gives {tuple(s.shape)}, the '
                    f'teacher {tuple(t.shape)} (B, H, W, A, C). The heads '
                    'should be of one kind')
        if self.anchors != 'all':
            student, teacher, certainty = self._surest(
                student, teacher, certainty)
            weights = [certainty if self.output == 'boxes' else None]
            names = [f'{self.module}.{self.output}[top {self.anchors}]']
            student, teacher = [student], [teacher]
        return [
            Pair(*fields, avg_factor)
            for fields in zip(names, student, teacher, weights)
        ]

    def _surest(self, student: Sequence[Tensor], teacher: Sequence[Tensor],
                certainty: Sequence[Tensor]) -> Tuple[Tensor, Tensor, Tensor]:
        """The anchors of each image of which the teacher is surest."""
        certainty = torch.cat([c.flatten(1) for c in certainty], 1)
        k = min(self.anchors, certainty.shape[1])
        certainty, index = certainty.topk(k, dim=1)
        picked = []
        for levels in (student, teacher):
            flat = torch.cat([level.flatten(1, 3) for level in levels], 1)
            picked.append(
                flat.gather(1,
                            index[..., None].expand(-1, -1, flat.shape[-1])))
        return picked[0], picked[1], certainty

    @staticmethod
    def _per_anchor(level: Tensor, head: nn.Module) -> Tensor:
        """(B, A * C, H, W) as a view of shape (B, H, W, A, C)."""
        batch, channels, height, width = level.shape
        anchors = _num_anchors(head)
        return level.view(batch, anchors, channels // anchors, height,
                          width).permute(0, 3, 4, 1, 2)


def _num_anchors(head: nn.Module) -> int:
    anchors = head.prior_generator.num_base_priors
    return anchors[0] if isinstance(anchors, (list, tuple)) else anchors


def _activation(head: nn.Module) -> str:
    sigmoid = getattr(head, 'use_sigmoid_cls',
                      getattr(head.loss_cls, 'use_sigmoid', True))
    return 'sigmoid' if sigmoid else 'softmax'


def _anchors(head: nn.Module) -> list:
    base = getattr(head.prior_generator, 'base_anchors', None)
    if base is None:  # points: one a location
        return [_num_anchors(head)]
    return [[tuple(round(v, 3) for v in anchor) for anchor in level.tolist()]
            for level in base]


def _box_code(head: nn.Module) -> dict:
    coder = getattr(head, 'bbox_coder', None)
    code = {
        k: v for k, v in vars(coder).items() if k in ('means', 'stds')
    } if coder is not None else {}
    return dict(code, head=type(head).__name__, coder=type(coder).__name__)


def _best_probability(scores: Tensor, head: nn.Module) -> Tensor:
    """Probability of the likeliest foreground class, shape (B, H, W, A)."""
    if type(head).__name__ in _GIVES_PROBABILITIES:
        return scores.float().amax(-1)
    if _activation(head) == 'sigmoid':
        return scores.amax(-1).float().sigmoid()
    # mmdet keeps the background last.
    return scores.float().softmax(-1)[..., :-1].amax(-1)


def _to_logits(scores: Tensor, head: nn.Module) -> Tensor:
    if type(head).__name__ in _GIVES_PROBABILITIES:
        return torch.logit(scores.float(), eps=1e-6)
    return scores
