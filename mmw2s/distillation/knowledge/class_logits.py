# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import logging
from typing import Any, List, Optional, Sequence

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmw2s.registry import KNOWLEDGE
from mmw2s.utils.kinds import is_kind
from mmw2s.utils.text import plural
from ..class_matching import columns_of, num_classes
from ..recorder import find_module
from ..teacher import FrozenTeacher
from ..teacher_outputs import TeacherOutputs
from .base import Knowledge, Pair, Recorded
from .feature_modules import feature_knowledge

__all__ = ['ClassLogits']

# At this temperature and above, a teacher that was trained with label
# smoothing makes the student worse: Chandrasegaran et al., "Revisiting Label
# Smoothing and Knowledge Distillation Compatibility: What was Missing?",
# ICML 2022.
_HIGH_TEMPERATURE = 2.


@KNOWLEDGE.register_module()
class ClassLogits(Knowledge):
    """Logits of a classifier: its class scores before softmax or sigmoid.

    The logits are those of the student's own forward, which is not run a
    second time. A pair has the shape (N, C). With a softmax head it also has
    a target, the labels as the head's own loss takes them: soft labels (N, C)
    with mixup, CutMix or the like, class indices (N,) otherwise.

    If the teacher's checkpoint names its classes, and all classes of the
    student are among them, then the teacher is reduced to the student's
    classes, in the student's order. This holds for its score too.

    Args:
        module (str): Name of the student's module that gives the logits. In
            most models of mmpretrain it is the head. Others are ``'model'``
            for a ``TimmClassifier`` and ``'head.conv_cls_head'`` for a
            Conformer. Defaults to ``'head'``.
        teacher_module (str, optional): Name of the teacher's module. Defaults
            to the same name.

    Raises:
        ValueError: From :meth:`check`, if the heads differ in activation or in
            number of classes; from :meth:`pairs`, if the output of a module
            has no shape (N, C).

    Examples:
        >>> distill = [dict(
        >>>     knowledge=dict(type='ClassLogits'),
        >>>     loss=dict(type='KDLoss', loss_weight=1.))]
    """

    name = 'logits'
    by_class = True
    gives_target = True

    def __init__(self,
                 module: str = 'head',
                 teacher_module: Optional[str] = None) -> None:
        super().__init__(module, teacher_module)

    def match_classes(self, teacher: FrozenTeacher,
                      classes: Optional[Sequence[str]]) -> None:
        """Reduce the teacher to the student's classes, by name.

        Args:
            teacher (FrozenTeacher): The teacher; its head and its ``classes``
                are changed.
            classes (Sequence[str], optional): The student's classes.

        Raises:
            ValueError: If a name fits several classes of the teacher, or if
                the teacher does not have one logit for each class name.
        """
        columns = columns_of(teacher.classes, classes)
        if columns is None:
            return
        head = find_module(teacher.model, self.teacher_module, 'teacher')
        known, given = len(teacher.classes), num_classes(head)
        if given not in (None, known):
            raise ValueError(
                f'the teacher\'s {self.teacher_module} gives {given} logits, '
                f'but {known} classes are named in its checkpoint: give '
                'teacher.classes=[...], the name of each of its outputs')
        columns = torch.tensor(columns, device=teacher.device)

        def take(module: nn.Module, inputs: tuple, output: Any) -> Tensor:
            logits = _logits(output, 'teacher', self.teacher_module)
            return logits[:, columns]

        # Registered now, this hook runs before those that record outputs.
        if is_kind(head, 'ArcFaceClsHead'):
            # The head applies one margin for each class to the output of this
            # layer, so the margins are selected like the outputs.
            for name in ('margins', 'sinm_m', 'threshold'):
                setattr(head, name, getattr(head, name)[columns])
            head.norm_product.register_forward_hook(take)
        else:
            head.register_forward_hook(take)
        head.num_classes, head.trained_classes = len(columns), known
        teacher.classes = tuple(classes)
        print_log(
            f'Of the teacher\'s {plural(known, "class")} '
            f'{len(columns)} are taken, the student\'s, by their names.',
            logger='current')

    def check(self, student: nn.Module, teacher: nn.Module) -> None:
        """Compare the kind of the heads and the number of their classes."""
        try:
            heads = self.modules_of(student, teacher)
        except ValueError as error:
            raise ValueError(f'{error}. Where the logits are is said by '
                             'ClassLogits.module and teacher_module') from None
        for owner, model, name in (('student', student, self.module),
                                   ('teacher', teacher, self.teacher_module)):
            _refuse_unreadable(owner, model, name,
                               feature_knowledge(student, teacher))
        if any(
                is_kind(module, 'MultiTaskHead')
                and f'{self.module}.'.startswith(f'{name}.')
                for name, module in student.named_modules()):
            raise ValueError(
                f'the student\'s {self.module} is of a MultiTaskHead, which '
                'gives a task those samples alone that are labeled for it, '
                'but the teacher\'s all of them. Distill features instead '
                '(knowledge HiddenFeatures)')
        self._refuse_difference(
            'activation', *map(_activation, heads),
            'scores of different kinds cannot be compared. Use a teacher '
            'with the student\'s kind of head')
        counts = [num_classes(head) for head in heads]
        if None not in counts:
            self._refuse_difference('classes', *counts, _OTHER_CLASSES)

    def bind(self, student: nn.Module, teacher: nn.Module) -> None:
        """Look up what the student's head gives."""
        head, _ = self.modules_of(student, teacher)
        self.gives = _gives(head)
        self.gives_target = _activation(head) == 'softmax'
        self._arcface_head = head if is_kind(head, 'ArcFaceClsHead') else None
        # mmpretrain's LabelSmoothLoss has this attribute.
        self._smoothing = max(
            getattr(module, 'label_smooth_val', 0.)
            for module in teacher.modules())

    def check_temperature(self, temperature: float) -> None:
        """Warn of a high temperature if the teacher had smoothed labels."""
        if self._smoothing and temperature >= _HIGH_TEMPERATURE:
            print_log(
                'The teacher was trained with label smoothing '
                f'({self._smoothing:g}), and is distilled at a temperature of '
                f'up to {temperature:g}. That is known to harm: use '
                'temperature=dict(type="Constant", value=1.), or a teacher '
                'without label smoothing.',
                logger='current',
                level=logging.WARNING)

    def pairs(self, recorded: Recorded, outputs: TeacherOutputs) -> List[Pair]:
        target = _labels(outputs.data_samples) if self.gives_target else None
        pairs = []
        for student_call, teacher_call in zip(recorded[self.module],
                                              outputs[self.teacher_module]):
            student = student_call.output
            if self._arcface_head is not None:
                # In training the student's ArcFace head knows the labels, and
                # lowers the logit of the true class by a margin. The teacher's
                # head gets no labels, so it applies no margin. To compare like
                # with like, the student's head, one small layer, runs once
                # more without labels.
                student = self._arcface_head(student_call.inputs[0])
            student = _logits(student, 'student', self.module)
            teacher = _logits(teacher_call.output, 'teacher',
                              self.teacher_module)
            self._refuse_difference('classes', student.shape[1],
                                    teacher.shape[1], _OTHER_CLASSES)
            pairs.append(Pair(self.module, student, teacher, target=target))
        return pairs


_OTHER_CLASSES = (
    'logits are paired class by class. Use a teacher trained on the '
    'student\'s classes, or one whose checkpoint names its classes, the '
    'student\'s among them')


def _refuse_unreadable(owner: str, model: nn.Module, name: str,
                       features: str) -> None:
    """Refuse heads that are known not to give one row of logits an image."""
    if is_kind(model, 'BaseRetriever') and name.split('.')[0] == 'head':
        raise ValueError(
            f'the {owner} is a {type(model).__name__}, which compares images '
            f'with a set of others in prediction and does not call its {name} '
            f'there. Distill features instead ({features})')
    module = model.get_submodule(name)
    if is_kind(module, 'ConformerHead'):
        field = 'module' if owner == 'student' else 'teacher_module'
        raise ValueError(
            f'the {owner}\'s {name} is a {type(module).__name__}, which gives '
            'the logits of two branches: name one of them by '
            f'ClassLogits.{field}, "{name}.conv_cls_head" or '
            f'"{name}.trans_cls_head"')


def _logits(output: Any, owner: str, module: str) -> Tensor:
    if isinstance(output, Tensor) and output.dim() == 2:
        return output
    field = 'module' if owner == 'student' else 'teacher_module'
    given = f'a tensor of shape {tuple(output.shape)}' \
        if isinstance(output, Tensor) else f'a {type(output).__name__}'
    raise ValueError(f'the {owner}\'s {module} gives {given}, not logits of '
                     'shape (N, C): name the module that does by '
                     f'ClassLogits.{field}')


def _labels(samples: Any) -> Optional[Tensor]:
    """The target of the head's own loss: soft labels if there are any."""
    if not samples:
        return None
    if 'gt_score' in samples[0]:
        return torch.stack([sample.gt_score for sample in samples])
    if 'gt_label' in samples[0]:
        return torch.cat([sample.gt_label for sample in samples])
    return None


def _activation(head: nn.Module) -> str:
    return 'sigmoid' if is_kind(head, 'MultiLabelClsHead') else 'softmax'


def _gives(head: nn.Module) -> Optional[str]:
    """The kind of scores as :attr:`Knowledge.gives` has it, if it is known."""
    if _activation(head) == 'sigmoid':
        return 'sigmoid scores'
    # A single-label head may be trained with sigmoids too, so its loss is
    # asked. A module that is no head has no loss to ask.
    loss = getattr(head, 'loss_module', nn.Identity())
    sigmoid = [
        m.use_sigmoid for m in loss.modules() if hasattr(m, 'use_sigmoid')
    ]
    return 'softmax scores' if sigmoid and not any(sigmoid) else None
