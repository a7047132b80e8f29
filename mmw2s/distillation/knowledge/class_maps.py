# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import List, Optional, Tuple

import torch.nn.functional as F
from torch import Tensor, nn

from mmw2s.registry import KNOWLEDGE
from mmw2s.utils.fields import check_integer, check_text
from ..recorder import find_module
from ..teacher_outputs import TeacherOutputs
from .base import Knowledge, Pair, Recorded
from .feature_maps import maps_of

__all__ = ['ClassMaps']


@KNOWLEDGE.register_module()
class ClassMaps(Knowledge):
    """Which part of an image speaks for which class.

    As in `CAT-KD <https://arxiv.org/abs/2304.12777>`_, the weights of a
    classifier's last layer are applied to its last maps at each location,
    before their mean over the image is taken. The maps of the classes,
    averaged down to ``size`` x ``size``, form a pair (B, C, size, size) of C
    classes. The paper compares unit vectors of each class, which is
    ``CosineKDLoss`` with ``vectors='locations'``, at twice the weight.

    Args:
        module (str): The student's module whose last map the pooling is
            given. Defaults to ``'backbone'``.
        teacher_module (str, optional): The teacher's. Defaults to the same
            name.
        layer (str): The student's last linear layer. Defaults to
            ``'head.fc'``.
        teacher_layer (str, optional): The teacher's. Defaults to the same
            name.
        size (int): Height and width of the maps. Defaults to 2.

    Raises:
        ValueError: If a field is wrong; from :meth:`check`, if a layer is not
            linear, or the classes differ; from :meth:`pairs`, if the layer is
            not for the channels of the maps.

    Examples:
        >>> distill = [dict(
        >>>     knowledge=dict(type='ClassMaps'),
        >>>     loss=dict(type='CosineKDLoss', vectors='locations',
        >>>               loss_weight=2.))]
    """

    name = 'class_maps'
    gives = 'feature maps'
    by_class = True

    def __init__(self,
                 module: str = 'backbone',
                 teacher_module: Optional[str] = None,
                 layer: str = 'head.fc',
                 teacher_layer: Optional[str] = None,
                 size: int = 2) -> None:
        super().__init__(module, teacher_module)
        check_text('ClassMaps.layer', layer, 'the name of a module')
        if teacher_layer is not None:
            check_text('ClassMaps.teacher_layer', teacher_layer,
                       'the name of a module')
        check_integer('ClassMaps.size', size, at_least=1)
        self.layer, self.teacher_layer = layer, teacher_layer or layer
        self.size = size

    def _layers(self, student: nn.Module,
                teacher: nn.Module) -> Tuple[nn.Module, nn.Module]:
        return (find_module(student, self.layer, 'student'),
                find_module(teacher, self.teacher_layer, 'teacher'))

    def check(self, student: nn.Module, teacher: nn.Module) -> None:
        """Compare the last layers."""
        super().check(student, teacher)
        layers = self._layers(student, teacher)
        for name, layer in zip((self.layer, self.teacher_layer), layers):
            if type(layer) is not nn.Linear:
                raise ValueError(
                    f'{name} is a {type(layer).__name__}, but ClassMaps needs '
                    'the linear layer that gives the logits of pooled maps '
                    '(ClassMaps.layer, teacher_layer). Use ClassLogits, or '
                    'HiddenFeatures')
        self._refuse_difference(
            'classes', *(layer.out_features for layer in layers),
            'maps are paired class by class. Use a teacher of the student\'s '
            'classes, or HiddenFeatures')

    def bind(self, student: nn.Module, teacher: nn.Module) -> None:
        """Keep the last layers."""
        self._of_student, self._of_teacher = self._layers(student, teacher)

    def pairs(self, recorded: Recorded, outputs: TeacherOutputs) -> List[Pair]:
        return [
            Pair(
                f'{self.module} ({self.layer})',
                self._maps(self.module, student.output, self._of_student),
                self._maps(self.teacher_module, teacher.output,
                           self._of_teacher)) for student, teacher in
            zip(recorded[self.module], outputs[self.teacher_module])
        ]

    def _maps(self, module: str, output: Tensor, layer: nn.Linear) -> Tensor:
        last = maps_of(module, output)[-1]
        if last.shape[1] != layer.in_features:
            raise ValueError(
                f'{module} gives maps of {last.shape[1]} channels, but the '
                f'layer of the logits is for {layer.in_features}: between the '
                'two there is more than a mean over the image')
        # The mean first: it is the same, and less to compute.
        pooled = F.adaptive_avg_pool2d(last, self.size)
        return F.conv2d(pooled, layer.weight[:, :, None, None].to(pooled))
