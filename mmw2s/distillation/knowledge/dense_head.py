# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import List, Optional, Sequence, Tuple, Union

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from mmw2s.registry import KNOWLEDGE
from mmw2s.utils.fields import check_choice, check_integer, check_number
from mmw2s.utils.kinds import is_kind
from ..teacher_outputs import TeacherOutputs
from .base import Knowledge, Pair, Recorded
from .box_code import box_code
from .dense_head_facts import (activation_of, anchor_counts, anchors_of,
                               why_unreadable)
from .feature_modules import feature_knowledge

__all__ = ['DenseHeadOutputs', 'best_probability', 'score_form']

# Its forward gives probabilities where the others give logits.
_GIVES_PROBABILITIES = 'TOODHead'
# A batch with objects has more positives than one in so many anchors. In a
# batch without objects, the loss is still summed over all anchors.
_ANCHORS_A_POSITIVE = 10_000
# In the sum of squares no anchor counts as more probable than this.
_UNSURE = 0.05


@KNOWLEDGE.register_module()
class DenseHeadOutputs(Knowledge):
    """Class scores or box deltas of a dense, anchor- or point-based head.

    They are read from the head's own forward, so the student's head is never
    run twice. A pair is a level, a view of shape (B, H, W, A, C): A anchors
    at each location, C classes or numbers of a box. Nothing is copied.

    Each pair is divided by the number of the teacher's positives, as the
    detectors' own losses are by their ``avg_factor``. Let p be the
    probability that the teacher gives to an anchor's likeliest class, the
    background aside. The number is the largest of these, each for all levels
    together:

    - the sum of p over the positive anchors, those with
      p >= ``positive_thr``, averaged over ranks;
    - the sum of min(p, 0.05)^2 over all anchors, averaged over ranks;
    - the number of images;
    - the number of anchors / 10,000.

    The last three are for a batch in which the teacher is sure of nothing:
    divided by almost 0, it would outweigh all other batches. Box deltas are
    weighted by p, and count on positive anchors only.

    Args:
        output (str): ``'scores'`` or ``'boxes'``. Defaults to ``'scores'``.
        module (str): The student's dense head. Defaults to ``'bbox_head'``.
        teacher_module (str, optional): The teacher's head. Defaults to the
            same name.
        anchors (str or int): ``'all'``, or a number: only so many anchors of
            each image are compared, those with the highest p. Then memory
            does not grow with the image (an image of COCO at full size has
            200,000 anchors x 80 classes). Defaults to ``'all'``.
        positive_thr (float): Probability from which on an anchor counts as
            one of the teacher's positives. Defaults to 0.05, mmdet's usual
            ``score_thr``.

    Raises:
        ValueError: If a field is out of range; from :meth:`check`,
            if the heads differ in classes, activation, strides, anchors or
            box code.

    Examples:
        >>> distill = [dict(
        >>>     knowledge=dict(type='DenseHeadOutputs'),
        >>>     loss=dict(type='QualityFocalKDLoss', loss_weight=1.))]
    """

    by_class = True
    by_place = True
    training_form = True

    def __init__(self,
                 output: str = 'scores',
                 module: str = 'bbox_head',
                 teacher_module: Optional[str] = None,
                 anchors: Union[str, int] = 'all',
                 positive_thr: float = 0.05) -> None:
        super().__init__(module, teacher_module)
        name = type(self).__name__
        check_choice(f'{name}.output', output, ('scores', 'boxes'))
        if anchors != 'all':
            check_integer(
                f'{name}.anchors, unless "all",', anchors, at_least=1)
        check_number(f'{name}.positive_thr', positive_thr, at_least=0, below=1)
        self.output = output
        self.gives = 'box deltas' if output == 'boxes' else None
        self.anchors = anchors
        self.positive_thr = positive_thr

    @property
    def name(self) -> str:  # type: ignore[override]
        return 'cls' if self.output == 'scores' else 'box'

    def check(self, student: nn.Module, teacher: nn.Module) -> None:
        """Compare classes, strides, anchors and box codes of the heads."""
        heads = self.modules_of(student, teacher)
        features = feature_knowledge(student, teacher)
        for whose, head in zip(
            (f'student\'s {self.module}', f'teacher\'s {self.teacher_module}'),
                heads):
            why_not = why_unreadable(head)
            if why_not is not None:
                raise ValueError(
                    f'the {whose} is a {type(head).__name__}, {why_not}: '
                    f'{type(self).__name__} cannot read it. Distill features '
                    f'instead ({features})')
        self._refuse_difference(
            'classes', *(head.num_classes for head in heads),
            'scores are paired class by class. Use a teacher trained on the '
            f'student\'s classes, or distill features only ({features})')
        self._refuse_difference(
            'activation', *map(activation_of, heads),
            'scores of different kinds cannot be compared. Use a teacher '
            'with the student\'s kind of classification loss')
        self._refuse_difference(
            'strides',
            *([tuple(s) for s in head.prior_generator.strides]
              for head in heads),
            'locations are paired level by level. Use a teacher with the '
            'student\'s levels')
        self._refuse_other_anchors(*map(anchors_of, heads))
        if self.output == 'boxes':
            for head in heads:
                if hasattr(head, 'reg_max'):
                    raise ValueError(
                        f'{type(head).__name__} gives a distribution for each '
                        'edge of a box, not deltas: use '
                        'EdgeDistributions, or leave the boxes out')
            self._refuse_difference(
                'box code',
                *(dict(box_code(head), head=type(head).__name__)
                  for head in heads),
                'box deltas are only comparable in one code. Give both heads '
                'the same bbox_coder, or leave the boxes out')

    def _refuse_other_anchors(self, student: list, teacher: list) -> None:
        why = ('outputs are paired anchor by anchor. Give both heads the same '
               'anchor generator')
        self._refuse_difference('anchors a location', anchor_counts(student),
                                anchor_counts(teacher), why)
        for level, anchors in enumerate(zip(student, teacher)):
            for i, pair in enumerate(zip(*anchors)):
                self._refuse_difference(f'as anchor {i} of level {level}',
                                        *pair, why)

    def bind(self, student: nn.Module, teacher: nn.Module) -> None:
        """Learn in which form the two heads give their scores."""
        heads = self.modules_of(student, teacher)
        if self.output == 'scores':
            self.gives = f'{activation_of(heads[0])} scores'
        # The two heads have equal anchors; `check` saw to it.
        self._anchors = heads[1].prior_generator.num_base_priors
        self._form = score_form(heads[1])
        self._as_logits = [
            _logit if is_kind(head, _GIVES_PROBABILITIES) else list
            for head in heads
        ]

    def pairs(self, recorded: Recorded, outputs: TeacherOutputs) -> List[Pair]:
        pairs = []
        for i, calls in enumerate(
                zip(recorded[self.module], outputs[self.teacher_module])):
            student, teacher = (call.output for call in calls)
            # An entry for the scores and one for the boxes share this.
            scores, confidence, avg_factor = outputs.memo(
                (self.teacher_module, i, self.positive_thr), self._confidence,
                teacher[0])
            if self.output == 'scores':
                levels = [
                    as_logits(maps)
                    for as_logits, maps in zip(self._as_logits, (
                        self._per_anchor(student[0]), scores))
                ]
            else:
                levels = [
                    self._per_anchor(given[1]) for given in (student, teacher)
                ]
            pairs += self._pairs_of_call(*levels, confidence, avg_factor)
        return pairs

    def _confidence(
        self, teacher: Sequence[Tensor]
    ) -> Tuple[List[Tensor], List[Tensor], Tensor]:
        """The teacher's scores of each anchor, and how confident they are.

        Args:
            teacher (Sequence[Tensor]): Its scores, (B, A * C, H, W) a level.

        Returns:
            tuple: The scores (B, H, W, A, C) of each level, the probability
            of the likeliest foreground class (B, H, W, A) of each level, and
            the number of its positives, 0-dim, averaged over ranks.
        """
        scores = self._per_anchor(teacher)
        confidence = best_probability(scores, self._form)
        return scores, confidence, self._positives(confidence)

    def _positives(self, confidence: Sequence[Tensor]) -> Tensor:
        counts = torch.stack([
            torch.stack([(c * (c >= self.positive_thr)).sum(),
                         c.clamp(max=_UNSURE).square().sum()])
            for c in confidence
        ]).sum(0)
        # As mmdet's reduce_mean: ranks with few positives do not weigh more.
        all_reduce(counts, 'mean')
        anchors = sum(c.numel() for c in confidence)
        least = max(len(confidence[0]), anchors / _ANCHORS_A_POSITIVE)
        return counts.max().clamp(min=least)

    def _pairs_of_call(self, student: Sequence[Tensor],
                       teacher: Sequence[Tensor], confidence: Sequence[Tensor],
                       avg_factor: Tensor) -> List[Pair]:
        names = [
            f'{self.module}.{self.output}[{i}]' for i in range(len(student))
        ]
        for name, s, t in zip(names, student, teacher):
            if s.shape != t.shape:
                raise ValueError(
                    f'{name}: the student gives {tuple(s.shape)}, the '
                    f'teacher {tuple(t.shape)} (B, H, W, A, C). The heads '
                    'should be of one kind')
        if self.anchors != 'all':
            index, surest = self._surest(confidence)
            confidence = [surest]
            student, teacher = [_rows(student, index)], [_rows(teacher, index)]
            names = [f'{self.module}.{self.output}[top {self.anchors}]']
        weights: Sequence[Optional[Tensor]] = [None] * len(student)
        if self.output == 'boxes':
            weights = [c * (c >= self.positive_thr) for c in confidence]
        return [
            Pair(*fields, avg_factor)
            for fields in zip(names, student, teacher, weights)
        ]

    def _surest(self, confidence: Sequence[Tensor]) -> Tuple[Tensor, Tensor]:
        """The anchors of each image of which the teacher is surest.

        Returns:
            Tuple[Tensor, Tensor]: Their index, counted through the levels,
            and the confidence in them, both of shape (B, k).
        """
        every = torch.cat([c.flatten(1) for c in confidence], 1)
        surest, index = every.topk(min(self.anchors, every.shape[1]), dim=1)
        return index, surest

    def _per_anchor(self, levels: Sequence[Tensor]) -> List[Tensor]:
        """Each (B, A * C, H, W) as a view of shape (B, H, W, A, C)."""
        return [
            level.unflatten(1, (count, -1)).permute(0, 3, 4, 1, 2)
            for level, count in zip(levels, self._anchors)
        ]


def _rows(levels: Sequence[Tensor], index: Tensor) -> Tensor:
    """The anchors of an index (B, k) through the levels, shape (B, k, C).

    It indexes level by level, because to join the levels would copy them.
    """
    image = torch.arange(len(index), device=index.device)[:, None]
    rows = levels[0].new_zeros(())
    for level in levels:
        _, height, width, anchors, _ = level.shape
        size = height * width * anchors
        own = index.clamp(0, size - 1)
        found = level[image, own // (width * anchors), own // anchors % width,
                      own % anchors]
        inside = (index >= 0) & (index < size)
        rows = torch.where(inside[..., None], found, rows)
        index = index - size
    return rows


def score_form(head: nn.Module) -> str:
    """``'probabilities'``, or the activation of a head's logits."""
    return 'probabilities' if is_kind(
        head, _GIVES_PROBABILITIES) else activation_of(head)


def best_probability(levels: Sequence[Tensor], form: str) -> List[Tensor]:
    """The probability of the likeliest foreground class.

    Args:
        levels (Sequence[Tensor]): Scores, (..., C).
        form (str): ``'sigmoid'`` or ``'softmax'`` logits, or
            ``'probabilities'``.

    Returns:
        list[Tensor]: Shape (...) each.
    """
    if form == 'probabilities':
        return [scores.float().amax(-1) for scores in levels]
    if form == 'sigmoid':
        return [scores.amax(-1).float().sigmoid() for scores in levels]
    # mmdet keeps the background last.
    return [scores.float().softmax(-1)[..., :-1].amax(-1) for scores in levels]


def _logit(levels: Sequence[Tensor]) -> List[Tensor]:
    """The logits of probabilities."""
    return [torch.logit(level.float(), eps=1e-6) for level in levels]
