# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import List, Optional

from torch import Tensor, nn

from mmw2s.registry import KNOWLEDGE
from mmw2s.utils.kinds import is_kind
from ..teacher_outputs import TeacherOutputs
from .base import Knowledge, Pair, Recorded
from .feature_maps import maps_of, resized
from .feature_modules import feature_knowledge

__all__ = ['PixelScores']

# They inherit such a layer, and score pixels by other ones.
_IDLE = ('IterativeDecodeHead', 'VPDDepthHead')
_OTHER_CLASSES = (
    'scores of pixels are paired class by class. Use a teacher trained on the '
    'student\'s classes, with as many maps (of two classes a head may have '
    'one), or distill features only')


@KNOWLEDGE.register_module()
class PixelScores(Knowledge):
    """Class scores of each pixel, from the last layer of a segmentation head.

    They are those of the student's own forward, before softmax or sigmoid and
    before they are resized to the image. A pair is of shape (B, C, H, W) with
    a map for each class. If the sizes differ, the teacher's maps are resized
    to the student's.

    The layer is named, and not the head, because MMSegmentation calls the
    ``forward`` of its heads directly, so that they cannot be watched.
    `Channel-wise Knowledge Distillation for Dense Prediction
    <https://arxiv.org/abs/2011.13256>`_ compares these maps by ``CWDLoss``;
    ``KDLoss`` with ``class_dim=1`` compares them pixel by pixel.

    Args:
        module (str): The student's layer that gives the scores. That of a
            cascade is ``'decode_head.1.conv_seg'``. Defaults to
            ``'decode_head.conv_seg'``.
        teacher_module (str, optional): The teacher's. Defaults to the same
            name.

    Raises:
        ValueError: From :meth:`check`, if a model has no such layer or does
            not use it, or if their numbers of maps differ; from
            :meth:`pairs`, if a layer gives no maps, or another number.

    Examples:
        >>> distill = [dict(
        >>>     knowledge=dict(type='PixelScores'),
        >>>     loss=dict(type='CWDLoss', tau=4., loss_weight=3.))]
    """

    name = 'seg'
    gives = 'feature maps'
    by_class = True
    by_place = True

    def __init__(self,
                 module: str = 'decode_head.conv_seg',
                 teacher_module: Optional[str] = None) -> None:
        super().__init__(module, teacher_module)

    def check(self, student: nn.Module, teacher: nn.Module) -> None:
        """Compare the numbers of maps, and look whether both are used."""
        layers = self.modules_of(student, teacher)
        for owner, model, name in (('student', student, self.module),
                                   ('teacher', teacher, self.teacher_module)):
            head, _, layer = name.rpartition('.')
            if layer == 'conv_seg' and is_kind(
                    model.get_submodule(head), *_IDLE):
                kind = type(model.get_submodule(head)).__name__
                raise ValueError(
                    f'the {owner}\'s {head} is a {kind}, which does not use '
                    f'its {layer}. Distill features instead '
                    f'({feature_knowledge(student, teacher)})')
        counts = [getattr(layer, 'out_channels', None) for layer in layers]
        if None not in counts:
            self._refuse_difference('score maps', *counts, _OTHER_CLASSES)

    def pairs(self, recorded: Recorded, outputs: TeacherOutputs) -> List[Pair]:
        pairs = []
        for calls in zip(recorded[self.module], outputs[self.teacher_module]):
            student, teacher = (_scores(name, call.output)
                                for name, call in zip((
                                    self.module, self.teacher_module), calls))
            self._refuse_difference('score maps', student.shape[1],
                                    teacher.shape[1], _OTHER_CLASSES)
            pairs.append(
                Pair(self.module, student, resized(teacher,
                                                   student.shape[2:])))
        return pairs


def _scores(module: str, output: Tensor) -> Tensor:
    maps = maps_of(module, output)
    if len(maps) > 1:
        raise ValueError(f'{module} gives {len(maps)} maps of an image, but '
                         'one of each class is needed (B, C, H, W): name the '
                         'layer that gives it by PixelScores.module')
    return maps[0]
