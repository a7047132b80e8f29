# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import inspect
from typing import (Any, Callable, Dict, List, NamedTuple, Optional, Sequence,
                    Tuple)

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from mmw2s.registry import KNOWLEDGE
from mmw2s.utils.fields import check_choice
from ..teacher_outputs import TeacherOutputs
from .base import Knowledge, Pair, Recorded
from .box_code import box_code, code_size
from .feature_modules import feature_knowledge

__all__ = ['RoIHeadOutputs']


class _Branch(NamedTuple):
    """Names of the parts of mmdet's RoI heads that give an output."""
    name: str
    gives: str
    extractor: str  # is given the maps and the RoIs
    head: str
    loss: str  # of the head; is given the labels
    labels: int  # as which argument
    forward: str  # the RoI head's method, from maps and RoIs to a dict


_BOX = ('bbox_roi_extractor', 'bbox_head', 'loss_cls', 1, '_bbox_forward')
_MASK = ('mask_roi_extractor', 'mask_head', 'loss_mask', 2, '_mask_forward')
_BRANCHES = dict(
    scores=_Branch('roi_cls', 'softmax scores', *_BOX),
    boxes=_Branch('roi_box', 'box deltas', *_BOX),
    masks=_Branch('roi_mask', 'sigmoid scores', *_MASK))


@KNOWLEDGE.register_module()
class RoIHeadOutputs(Knowledge):
    """Outputs of the RoI heads on the proposals that the student has sampled.

    The RoIs are read from the inputs of the student's RoI extractor; its
    sampling is untouched. The teacher's RoI head is given the same RoIs and
    the teacher's own maps, once for scores and boxes; the teacher makes no
    proposals. With N sampled RoIs in a batch, P positive ones among them, and
    C classes:

    - ``'scores'``: logits (N, C + 1), divided by N. The background is the
      last class and counts like any other, as in the papers of KD, DKD and
      DIST. It is also the label of an RoI without an object.
    - ``'boxes'``: deltas (N, C, 4), or (N, 1, 4) for a head that gives one box
      for all classes. The weight of each is the teacher's probability of its
      class (of any class, if there is one box for all), so RoIs without an
      object count next to nothing. Divided by the sum of the weights.
    - ``'masks'``: logits (P, H, W, 1) of the class that each positive RoI is
      labeled with, divided by P x H x W.

    Divisors are averaged over ranks. Heads with stages (Cascade R-CNN) are
    compared stage by stage, with the weights that the stages have in the
    student's own loss. A student's stage that the teacher does not have is
    compared with the teacher's last one.

    Args:
        output (str): ``'scores'``, ``'boxes'`` or ``'masks'``.
            Defaults to ``'scores'``.
        module (str): The student's RoI head. Defaults to ``'roi_head'``.
        teacher_module (str, optional): The teacher's RoI head. Defaults to
            the same name.

    Raises:
        ValueError: If a field is out of range; from :meth:`check`,
            if a head is of an unknown kind, or the two differ in classes or
            box code.

    Examples:
        >>> distill = [dict(
        >>>     knowledge=dict(type='RoIHeadOutputs'),
        >>>     loss=dict(type='KDLoss', temperature=1., loss_weight=1.))]
    """

    by_class = True
    by_place = True

    def __init__(self,
                 output: str = 'scores',
                 module: str = 'roi_head',
                 teacher_module: Optional[str] = None) -> None:
        super().__init__(module, teacher_module)
        check_choice('RoIHeadOutputs.output', output, _BRANCHES)
        self.output = output
        self._branch = _BRANCHES[output]
        self.gives = self._branch.gives

    @property
    def name(self) -> str:  # type: ignore[override]
        return self._branch.name

    @property
    def gives_target(self) -> bool:  # type: ignore[override]
        """Scores have labels: those that the student's sampling gave them."""
        return self.output == 'scores'

    @property
    def student_modules(self) -> Tuple[str, ...]:
        """RoI extractor, head and classification loss of each stage."""
        return tuple(name for stage in self._stages for name in stage)

    @property
    def teacher_modules(self) -> Tuple[str, ...]:
        """What gives the maps that the teacher's RoI head looks at."""
        return (self._teacher_maps, )

    # -- before training -------------------------------------------------

    def check(self, student: nn.Module, teacher: nn.Module) -> None:
        """Compare kinds, classes and box codes of the RoI heads."""
        roi_heads = self.modules_of(student, teacher)
        features = feature_knowledge(student, teacher)
        for whose, roi_head in zip(
            (f'student\'s {self.module}', f'teacher\'s {self.teacher_module}'),
                roi_heads):
            self._refuse_unreadable(whose, roi_head, features)
        if self.output == 'masks' and roi_heads[0].share_roi_extractor:
            raise ValueError(
                f'the student\'s {self.module} has no mask_roi_extractor of '
                'its own, so that the RoIs of its masks cannot be read: give '
                'it one, or leave the masks out')
        heads, teacher_heads = map(self._heads, roi_heads)
        for head, i in zip(heads, self._stages_of_teacher(*roi_heads)):
            self._refuse_other_head(head, teacher_heads[i], features)

    def bind(self, student: nn.Module, teacher: nn.Module) -> None:
        """Note the stages of the heads, and where their inputs come from."""
        roi_head, self._teacher_head = self.modules_of(student, teacher)
        self._features = feature_knowledge(student, teacher)
        self._teacher_stages = self._stages_of_teacher(roi_head,
                                                       self._teacher_head)
        heads = getattr(roi_head, self._branch.head)
        suffixes = ['']
        if isinstance(heads, nn.ModuleList):
            suffixes = [f'.{i}' for i in range(len(heads))]
        self._stages = []
        for suffix in suffixes:
            head = f'{self.module}.{self._branch.head}{suffix}'
            self._stages.append(
                (f'{self.module}.{self._branch.extractor}{suffix}', head,
                 f'{head}.{self._branch.loss}'))
        self._stage_weights = getattr(roi_head, 'stage_loss_weights', [1.])
        with_neck = getattr(teacher, 'neck', None) is not None
        self._teacher_maps = 'neck' if with_neck else 'backbone'

    def _stages_of_teacher(self, student: nn.Module,
                           teacher: nn.Module) -> List[int]:
        """The stage of the teacher's RoI head for each of the student's."""
        last = len(self._heads(teacher)) - 1
        return [min(i, last) for i in range(len(self._heads(student)))]

    def _heads(self, roi_head: nn.Module) -> List[nn.Module]:
        """The head of each stage."""
        heads = getattr(roi_head, self._branch.head)
        return list(heads) if isinstance(heads, nn.ModuleList) else [heads]

    def _refuse_unreadable(self, whose: str, roi_head: nn.Module,
                           features: str) -> None:
        known = {'stage', 'x', 'rois', 'pos_inds', 'bbox_feats'}
        forward = getattr(roi_head, self._branch.forward, None)
        if getattr(roi_head, self._branch.head, None) is None or \
                forward is None or not _fields(forward) <= known:
            raise ValueError(
                f'the {whose} is a {type(roi_head).__name__}, not a RoI head '
                f'with a {self._branch.head} on RoI features alone, as those '
                'of Faster, Mask and Cascade R-CNN: RoIHeadOutputs cannot '
                f'read its {self.output}. Distill features instead '
                f'({features})')
        for head in self._heads(roi_head) if self.output != 'masks' else []:
            if getattr(head, 'custom_activation', False) or \
                    getattr(head.loss_cls, 'use_sigmoid', False) or \
                    getattr(head, 'num_instance', 1) > 1:
                raise ValueError(
                    f'the {whose} has a {type(head).__name__} with '
                    f'{type(head.loss_cls).__name__}, whose scores are no '
                    'softmax with the background as the last class. Distill '
                    f'features instead ({features})')
            has_deltas = getattr(head, 'with_reg', False) and hasattr(
                head.bbox_coder, 'stds')
            if self.output == 'boxes' and not has_deltas:
                raise ValueError(
                    f'the {whose} has a {type(head).__name__}, which gives no '
                    'box deltas: leave the boxes out')
            if self.output == 'boxes' and code_size(head) != 4:
                raise ValueError(
                    f'the {whose} has a {type(head.bbox_coder).__name__}, '
                    f'whose boxes are of {code_size(head)} numbers; deltas '
                    'are compared of boxes of 4 alone: leave the boxes out')

    def _refuse_other_head(self, student: nn.Module, teacher: nn.Module,
                           features: str) -> None:
        self._refuse_difference(
            'classes', student.num_classes, teacher.num_classes,
            'RoIs are compared class by class. Use a teacher trained on the '
            'student\'s classes, or distill features only '
            f'({features})')
        if self.output == 'boxes':
            self._refuse_difference(
                'box code', box_code(student), box_code(teacher),
                'box deltas are only comparable in one code. Give both heads '
                'the same bbox_coder, or leave the boxes out')

    # -- every step ------------------------------------------------------

    def calls_needed(self, recorded: Recorded) -> Dict[str, int]:
        return {self._teacher_maps: 1}

    def pairs(self, recorded: Recorded, outputs: TeacherOutputs) -> List[Pair]:
        pairs, divisors = [], []
        pair_of = getattr(self, f'_{self.output}')
        for i, (extractor, head, loss) in enumerate(self._stages):
            if not recorded[head]:
                break  # no proposal was left for this stage
            # The last call: samplers such as OHEM's call the head before.
            given = recorded[head][-1].output
            scores = given if isinstance(given, Tensor) else given[0]
            count = len(scores)
            maps, rois = _latest(recorded, extractor, 1, count)[:2]
            labels = scores.new_zeros(0, dtype=torch.long)
            if count > 0:  # otherwise the loss is not called
                at = self._branch.labels
                labels = _latest(recorded, loss, at, count)[at]
            student, teacher, weight, divisor = pair_of(
                given, self._on_rois(maps, rois, i, outputs), labels)
            name = f'{head}.{self.output}'
            if student.shape != teacher.shape:
                raise ValueError(
                    f'{name}: the student gives {tuple(student.shape)}, the '
                    f'teacher {tuple(teacher.shape)}. The heads should be of '
                    'one kind')
            target = labels if self.gives_target else None
            pairs.append(
                Pair(name, student, teacher, weight=weight, target=target))
            divisors.append(divisor)
        return [
            pair._replace(avg_factor=divisor / weight)
            for pair, divisor, weight in zip(pairs, self._over_ranks(divisors),
                                             self._stage_weights)
        ]

    def _over_ranks(self, divisors: Sequence[Tensor]) -> Tensor:
        # One message with the same number of values on all ranks, because a
        # rank may lack a stage.
        averaged = divisors[0].new_zeros(len(self._stages))
        averaged[:len(divisors)] = torch.stack(list(divisors))
        all_reduce(averaged, 'mean')
        return averaged.clamp(min=1)

    def _on_rois(self, maps: Sequence[Tensor], rois: Tensor, stage: int,
                 outputs: TeacherOutputs) -> Dict[str, Tensor]:
        """Outputs of the teacher's RoI head on the student's RoIs."""
        teacher_maps = outputs[self._teacher_maps][0].output
        if len(teacher_maps[0]) != len(maps[0]):
            raise ValueError(
                f'the student\'s {self.module} looks at {len(maps[0])} '
                f'images, the teacher\'s {self.teacher_module} at '
                f'{len(teacher_maps[0])}: RoIs cannot be handed over between '
                f'them. Distill features instead ({self._features})')
        forward = getattr(self._teacher_head, self._branch.forward)
        fields: Dict[str, Any] = dict(rois=rois)
        if 'stage' in _fields(forward):
            fields['stage'] = self._teacher_stages[stage]

        def look() -> Dict[str, Tensor]:
            # mmcv has no RoIAlign in bfloat16, and RoIs are rounded to the
            # maps' precision.
            exact = [
                m.float() if m.dtype == torch.bfloat16 else m
                for m in teacher_maps
            ]
            return forward(x=exact, **fields)

        key = (self.module, self.teacher_module, self._branch.forward, stage)
        return outputs.memo(key, lambda: outputs.run(look))

    def _scores(self, student_out: Sequence, teacher_out: Dict[str, Tensor],
                labels: Tensor) -> tuple:
        student = student_out[0]
        return student, teacher_out['cls_score'], None, _count(
            len(student), student)

    def _boxes(self, student_out: Sequence, teacher_out: Dict[str, Tensor],
               labels: Tensor) -> tuple:
        student, teacher = (
            deltas.unflatten(1, (-1, 4))
            for deltas in (student_out[1], teacher_out['bbox_pred']))
        weight = teacher_out['cls_score'].float().softmax(-1)[:, :-1]
        if teacher.shape[1] == 1:
            weight = weight.sum(-1, keepdim=True)
        return student, teacher, weight, weight.sum()

    def _masks(self, student_out: Tensor, teacher_out: Dict[str, Tensor],
               labels: Tensor) -> tuple:
        of_each = torch.arange(len(labels), device=labels.device)
        student, teacher = (
            masks[of_each, labels].unsqueeze(-1)
            for masks in (student_out, teacher_out['mask_preds']))
        return student, teacher, None, _count(student.numel(), student)


def _latest(recorded: Recorded, name: str, at: int, count: int) -> tuple:
    """Inputs of the latest call whose input ``at`` is of ``count`` RoIs."""
    for call in reversed(recorded[name]):
        if len(call.inputs) > at and len(call.inputs[at]) == count:
            return call.inputs
    raise ValueError(
        f'the student\'s {name} was given no input of {count} RoIs, for '
        'which its head has answered: RoIHeadOutputs cannot read it. Distill '
        'features instead (knowledge FPNFeatures)')


def _count(number: int, like: Tensor) -> Tensor:
    # Filled on the device; a copy would wait for it.
    return like.new_full((), number, dtype=torch.float32)


def _fields(method: Callable) -> set:
    return set(inspect.signature(method).parameters)
