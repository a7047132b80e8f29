# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import inspect
from typing import List, Optional, Sequence, Tuple, Union

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from mmw2s.registry import KNOWLEDGE
from mmw2s.utils.fields import check_choice, check_integer, check_number
from mmw2s.utils.kinds import is_kind
from ..teacher_view import TeacherView
from .base import Captured, Knowledge, Pair
from .box_code import box_code
from .feature_modules import feature_knowledge

__all__ = ['DenseHeadOutputs']

# Its forward gives probabilities where the others give logits.
_GIVES_PROBABILITIES = 'TOODHead'
# They learn class scores at objects alone: elsewhere these mean nothing
# without the objectness.
_SCORES_AT_OBJECTS = ('YOLOXHead', 'AutoAssignHead')
# There are more positives wherever there are objects; a batch without any
# still has the sum over all of its anchors.
_ANCHORS_A_POSITIVE = 10_000
# What a teacher gives to anchors of which it is not sure.
_UNSURE = 0.05


@KNOWLEDGE.register_module()
class DenseHeadOutputs(Knowledge):
    """Class scores or box deltas of a dense, anchor- or point-based head.

    Read from the head's own forward, so the student's is never run twice.
    Tensors are views of shape (B, H, W, A, C) a level, C being the classes or
    the box code, A the anchors a location; nothing is copied.

    Every pair of scores is divided by the teacher's positives, summed over
    levels and averaged over ranks like the detectors' own ``avg_factor``: the
    sum of the best class probabilities of the anchors in which this is
    at least ``positive_thr``. So that a teacher that is sure of nothing does
    not count for all the others, it is at least the sum of the squares of all
    these probabilities (each up to 0.05), one an image and one in 10,000
    anchors. Box deltas are weighted by that probability, and count on
    positive anchors only.

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
        ours, theirs = self.modules_of(student, teacher)
        features = feature_knowledge(student, teacher)
        for whose, head in ((f'student\'s {self.module}', ours),
                            (f'teacher\'s {self.teacher_module}', theirs)):
            why_not = _why_unreadable(head)
            if why_not is not None:
                raise ValueError(
                    f'the {whose} is a {type(head).__name__}, {why_not}: '
                    f'{type(self).__name__} cannot read it. Distil features '
                    f'instead ({features})')
        self._refuse_difference(
            'classes', ours.num_classes, theirs.num_classes,
            'scores are paired class by class. Use a teacher trained on the '
            f'student\'s classes, or distil features only ({features})')
        self._refuse_difference(
            'activation', activation_of(ours), activation_of(theirs),
            'scores of different kinds cannot be compared. Use a teacher '
            'with the student\'s kind of classification loss')
        self._refuse_difference(
            'strides', [tuple(s) for s in ours.prior_generator.strides],
            [tuple(s) for s in theirs.prior_generator.strides],
            'locations are paired level by level. Use a teacher with the '
            'student\'s levels')
        self._refuse_other_anchors(_anchors(ours), _anchors(theirs))
        if self.output == 'scores':
            self.gives = f'{activation_of(ours)} scores'
        else:
            for head in (ours, theirs):
                if hasattr(head, 'reg_max'):
                    raise ValueError(
                        f'{type(head).__name__} gives a distribution for each '
                        'edge of a box, not deltas: leave the boxes out')
            self._refuse_difference(
                'box code', _box_code(ours), _box_code(theirs),
                'box deltas are only comparable in one code. Give both heads '
                'the same bbox_coder, or leave the boxes out')
        self._student_head, self._teacher_head = ours, theirs

    def _refuse_other_anchors(self, ours: list, theirs: list) -> None:
        why = ('outputs are paired anchor by anchor. Give both heads the same '
               'anchor generator')
        self._refuse_difference('anchors a location', _counts(ours),
                                _counts(theirs), why)
        for level, anchors in enumerate(zip(ours, theirs)):
            for i, (our, their) in enumerate(zip(*anchors)):
                self._refuse_difference(f'as anchor {i} of level {level}', our,
                                        their, why)

    def pairs(self, captured: Captured, view: TeacherView) -> List[Pair]:
        pairs = []
        for i, (ours, theirs) in enumerate(
                zip(captured[self.module], view[self.teacher_module])):
            scores = self._per_anchor(theirs.output[0])
            # Scores and boxes of one head share this.
            certainty, avg_factor = view.memo(
                (self.teacher_module, i, self.positive_thr),
                lambda: self._certainty(scores))
            pairs += self._pairs_of_call(ours.output, theirs.output, scores,
                                         certainty, avg_factor)
        return pairs

    def _certainty(self,
                   scores: Sequence[Tensor]) -> Tuple[List[Tensor], Tensor]:
        """The teacher's confidence in each anchor, and its positives."""
        certainty = [
            _best_probability(level, self._teacher_head) for level in scores
        ]
        counts = torch.stack([
            torch.stack(
                [self._weight(c).sum(),
                 c.clamp(max=_UNSURE).square().sum()]) for c in certainty
        ]).sum(0)
        # As mmdet's reduce_mean: ranks with few positives do not weigh more.
        all_reduce(counts, 'mean')
        anchors = sum(c.numel() for c in certainty)
        least = max(len(certainty[0]), anchors / _ANCHORS_A_POSITIVE)
        return certainty, counts.max().clamp(min=least)

    def _weight(self, certainty: Tensor) -> Tensor:
        return certainty * (certainty >= self.positive_thr)

    def _pairs_of_call(self, ours: Sequence, theirs: Sequence,
                       scores: Sequence[Tensor], certainty: Sequence[Tensor],
                       avg_factor: Tensor) -> List[Pair]:
        if self.output == 'scores':
            student = [
                _to_logits(level, self._student_head)
                for level in self._per_anchor(ours[0])
            ]
            teacher = [_to_logits(s, self._teacher_head) for s in scores]
        else:
            student, teacher = (
                self._per_anchor(outputs[1]) for outputs in (ours, theirs))
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
            index, surest = self._surest(certainty)
            certainty = [surest]
            student, teacher = [_rows(student, index)], [_rows(teacher, index)]
            names = [f'{self.module}.{self.output}[top {self.anchors}]']
        weights: Sequence[Optional[Tensor]] = [None] * len(student)
        if self.output == 'boxes':
            weights = [self._weight(c) for c in certainty]
        return [
            Pair(*fields, avg_factor)
            for fields in zip(names, student, teacher, weights)
        ]

    def _surest(self, certainty: Sequence[Tensor]) -> Tuple[Tensor, Tensor]:
        """The anchors of each image of which the teacher is surest.

        Returns:
            Tuple[Tensor, Tensor]: Their index, counted through the levels,
            and their certainty, both of shape (B, k).
        """
        every = torch.cat([c.flatten(1) for c in certainty], 1)
        surest, index = every.topk(min(self.anchors, every.shape[1]), dim=1)
        return index, surest

    def _per_anchor(self, levels: Sequence[Tensor]) -> List[Tensor]:
        """Each (B, A * C, H, W) as a view of shape (B, H, W, A, C)."""
        # The two heads have equal anchors; `check` saw to it.
        counts = self._teacher_head.prior_generator.num_base_priors
        return [
            level.unflatten(1, (count, -1)).permute(0, 3, 4, 1, 2)
            for level, count in zip(levels, counts)
        ]


def _rows(levels: Sequence[Tensor], index: Tensor) -> Tensor:
    """The anchors of an index (B, k) through the levels, shape (B, k, C).

    Taken level by level, so that the levels are not copied.
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


def _why_unreadable(head: nn.Module) -> Optional[str]:
    """What keeps a module's outputs from being read anchor by anchor."""
    # YOLOv3 has anchors, but one map for scores and boxes.
    if not (hasattr(head, 'prior_generator')
            and hasattr(head, 'cls_out_channels')):
        return 'not a dense head with a prior_generator and scores apart'
    if is_kind(head, *_SCORES_AT_OBJECTS):
        return 'whose class scores mean nothing where there is no object'
    # GLIP's is given the words too, and has a score for each of them.
    needed = [
        name
        for name, given in inspect.signature(head.forward).parameters.items()
        if given.default is given.empty and given.kind in (
            given.POSITIONAL_ONLY, given.POSITIONAL_OR_KEYWORD)
    ]
    if len(needed) > 1:
        return ('whose scores do not follow from the maps alone (its forward '
                f'is given {", ".join(needed)})')
    return None


def activation_of(head: nn.Module) -> str:
    """``'sigmoid'`` or ``'softmax'``: what makes a head's scores of logits."""
    sigmoid = head.use_sigmoid_cls if hasattr(head, 'use_sigmoid_cls') else \
        getattr(getattr(head, 'loss_cls', None), 'use_sigmoid', True)
    return 'sigmoid' if sigmoid else 'softmax'


def _anchors(head: nn.Module) -> list:
    """The anchors of each level, as (x1, y1, x2, y2) about a location."""
    base = getattr(head.prior_generator, 'base_anchors', None)
    if base is None:
        return [['a point'] * n for n in head.prior_generator.num_base_priors]
    return [[tuple(round(v, 3) for v in anchor) for anchor in level.tolist()]
            for level in base]


def _counts(anchors: list) -> Union[int, List[int]]:
    counts = [len(level) for level in anchors]
    return counts if len(set(counts)) > 1 else counts[0]


def _box_code(head: nn.Module) -> dict:
    return dict(
        box_code(head),
        head=type(head).__name__,
        # FCOS in strides or in pixels.
        norm_on_bbox=getattr(head, 'norm_on_bbox', None))


def _best_probability(scores: Tensor, head: nn.Module) -> Tensor:
    """Probability of the likeliest foreground class, shape (B, H, W, A)."""
    if is_kind(head, _GIVES_PROBABILITIES):
        return scores.float().amax(-1)
    if activation_of(head) == 'sigmoid':
        return scores.amax(-1).float().sigmoid()
    # mmdet keeps the background last.
    return scores.float().softmax(-1)[..., :-1].amax(-1)


def _to_logits(scores: Tensor, head: nn.Module) -> Tensor:
    if is_kind(head, _GIVES_PROBABILITIES):
        return torch.logit(scores.float(), eps=1e-6)
    return scores
