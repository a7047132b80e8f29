# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Dict, List, Optional, Sequence, Tuple

import torch
from mmengine.logging import print_log
from torch import nn

from mmw2s.models.diffusion.prediction_type import (PREDICTION_TYPES,
                                                    check_min_snr_gamma,
                                                    convert, min_snr_weight)
from mmw2s.registry import KNOWLEDGE
from mmw2s.utils.fields import check_choice, check_text
from ..recorder import Call, find_module
from ..teacher_outputs import TeacherOutputs
from .base import Knowledge, Pair, Recorded
from .feature_maps import FPNFeatures

__all__ = ['Denoising', 'DenoisingFeatures']


@KNOWLEDGE.register_module()
class Denoising(Knowledge):
    """What a diffusion model's denoiser predicts.

    The teacher's denoiser is given the same noisy images, timesteps and
    classes as the student's. A pair has the shape (B, C, H, W). If the two
    models predict different things, both are converted to one kind (see
    :mod:`mmw2s.models.diffusion.prediction_type`).

    Args:
        kind (str): What the two are compared as: ``'epsilon'`` (noise),
            ``'sample'`` (the image) or ``'v_prediction'``. ``'auto'`` is the
            kind that both predict, or noise if they predict different
            things. Defaults to ``'auto'``.
        min_snr_gamma (float, optional): Weight the timesteps by
            :func:`~mmw2s.models.diffusion.min_snr_weight`. Defaults to None:
            5 if only one of the two predicts the image, because its errors
            would count thousands of times at the first timesteps; otherwise
            equal weights. Infinity always gives equal weights.
        module (str): The student's denoiser. Defaults to ``'denoiser'``.
        teacher_module (str, optional): The teacher's denoiser. Defaults to
            the same name.

    Raises:
        ValueError: If a field is out of range; from :meth:`check`,
            if the models differ in images, classes or noise schedule.

    Examples:
        >>> distill = [dict(
        >>>     knowledge=dict(type='Denoising'),
        >>>     loss=dict(type='MSEKDLoss', loss_weight=1.))]
    """

    name = 'denoising'
    by_place = True

    def __init__(self,
                 kind: str = 'auto',
                 min_snr_gamma: Optional[float] = None,
                 module: str = 'denoiser',
                 teacher_module: Optional[str] = None) -> None:
        super().__init__(module, teacher_module)
        check_choice('Denoising.kind', kind, ('auto', *PREDICTION_TYPES))
        check_min_snr_gamma('Denoising.min_snr_gamma', min_snr_gamma)
        self.kind, self.min_snr_gamma = kind, min_snr_gamma

    def check(self, student: nn.Module, teacher: nn.Module) -> None:
        """Compare images, classes and noise schedules."""
        self.modules_of(student, teacher)
        _refuse_other_diffusion(student, teacher)

    def bind(self, student: nn.Module, teacher: nn.Module) -> None:
        """Choose what is compared, by what the two models predict."""
        _, self._teacher_denoiser = self.modules_of(student, teacher)
        self.by_class = student.num_classes is not None
        self._kinds = student.prediction_type, teacher.prediction_type
        if self.kind != 'auto':
            self._common = self.kind
        else:
            same = self._kinds[0] == self._kinds[1]
            self._common = self._kinds[0] if same else 'epsilon'
        if self.min_snr_gamma is None and self._kinds.count('sample') == 1:
            self.min_snr_gamma = 5.
            print_log(
                'Denoising.min_snr_gamma is 5, for only one of student and '
                'teacher predicts the image',
                logger='current')
        self._alphas = student.alphas_cumprod

    def pairs(self, recorded: Recorded, outputs: TeacherOutputs) -> List[Pair]:
        pairs = []
        calls = recorded[self.module]
        replayed = _replay(self._teacher_denoiser, calls, outputs)
        for call, replay in zip(calls, replayed[self.teacher_module]):
            (noisy, alphas), (noisy_t,
                              alphas_t) = ((given[0], self._alphas[given[1]])
                                           for given in (call.inputs,
                                                         replay.inputs))
            student = convert(call.output[0], noisy, alphas, self._kinds[0],
                              self._common)
            teacher = convert(replay.output[0], noisy_t, alphas_t,
                              self._kinds[1], self._common)
            weight = None
            if self.min_snr_gamma is not None:
                weight = min_snr_weight(alphas, self.min_snr_gamma,
                                        self._common)
            pairs.append(
                Pair(
                    f'{self.module} ({self._common})',
                    student,
                    teacher,
                    weight=weight))
        return pairs


@KNOWLEDGE.register_module()
class DenoisingFeatures(FPNFeatures):
    """Feature maps inside the denoiser of a diffusion model.

    They are paired as in :class:`FPNFeatures`. But the teacher's denoiser is
    given the inputs of the student's, as in :class:`Denoising`; both share
    one forward of the teacher. (With ``FPNFeatures`` itself, the two models
    would see different noise.)

    Args:
        module (str): A module of the student that gives maps.
            Defaults to ``'denoiser.mid_block'``; ``'denoiser.up_blocks.0'``
            is the first of a UNet's decoder.
        teacher_module (str, optional): The teacher's module. Defaults to the
            same name.
        levels (Sequence[int], optional): As in :class:`FPNFeatures`.
            Defaults to None.
        seed (int): Seed of the random projections. Defaults to 0.
        adapter (str): As in :class:`FPNFeatures`. Defaults to ``'fixed'``.
        denoiser (str): Name of the denoiser, in both models. Defaults to
            ``'denoiser'``.

    Raises:
        ValueError: As in :class:`FPNFeatures` and
            :class:`Denoising`.

    Examples:
        >>> distill = [dict(
        >>>     knowledge=dict(type='DenoisingFeatures'),
        >>>     loss=dict(type='PKDLoss', loss_weight=1.))]
    """

    name = 'denoising_features'
    by_place = True

    def __init__(self,
                 module: str = 'denoiser.mid_block',
                 teacher_module: Optional[str] = None,
                 levels: Optional[Sequence[int]] = None,
                 seed: int = 0,
                 adapter: str = 'fixed',
                 denoiser: str = 'denoiser') -> None:
        super().__init__(module, teacher_module, levels, seed, adapter)
        check_text('DenoisingFeatures.denoiser', denoiser,
                   'the name of a module')
        self.denoiser = denoiser

    @property
    def student_modules(self) -> Tuple[str, ...]:
        return (self.module, self.denoiser)

    def check(self, student: nn.Module, teacher: nn.Module) -> None:
        """Compare images, classes and noise schedules."""
        self.modules_of(student, teacher)
        find_module(teacher, self.denoiser, 'teacher')
        _refuse_other_diffusion(student, teacher)

    def bind(self, student: nn.Module, teacher: nn.Module) -> None:
        """Keep the teacher's denoiser."""
        self._teacher_denoiser = teacher.get_submodule(self.denoiser)
        self.by_class = student.num_classes is not None

    def pairs(self, recorded: Recorded, outputs: TeacherOutputs) -> List[Pair]:
        _replay(self._teacher_denoiser, recorded[self.denoiser], outputs)
        return super().pairs(recorded, outputs)


def _replay(denoiser: nn.Module, calls: Sequence[Call],
            outputs: TeacherOutputs) -> Dict[str, List[Call]]:
    """The teacher's calls where its denoiser is given the student's inputs."""
    return outputs.through(lambda: [
        denoiser(*map(outputs.of_teacher, call.inputs), return_dict=False)
        for call in calls
    ])


def _refuse_other_diffusion(student: nn.Module, teacher: nn.Module) -> None:
    for whose, model in (('student', student), ('teacher', teacher)):
        if not hasattr(model, 'alphas_cumprod'):
            raise ValueError(
                f'the {whose} is a {type(model).__name__}, not a '
                'DenoisingDiffusion: noisy images cannot be shared')
    for what, of_student, of_teacher, advice in (
        ('images of (channels, height, width)', student.image_shape,
         teacher.image_shape, 'images of the same size and channels'),
        ('classes', student.num_classes, teacher.num_classes,
         'the same classes, or none for both'), ('timesteps',
                                                 len(student.alphas_cumprod),
                                                 len(teacher.alphas_cumprod),
                                                 'the same noise schedule')):
        if of_student != of_teacher:
            raise ValueError(
                f'the teacher has {of_teacher} {what}, the student '
                f'{of_student}, but '
                f'both are given the same noisy images. Use a teacher of '
                f'{advice}')
    left, teachers = (m.alphas_cumprod.cpu() for m in (student, teacher))
    if not torch.allclose(left, teachers, rtol=1e-4, atol=1e-7):
        middle = len(left) // 2
        raise ValueError(
            'the teacher has another noise schedule than the student (at '
            f'timestep {middle} {teachers[middle]:.4f} of the '
            f'image is left, {left[middle]:.4f} of the student\'s), '
            'but both are given the same noisy images. Use a teacher trained '
            'with the student\'s scheduler')
    if student.class_dropout and not teacher.class_dropout:
        raise ValueError(
            'the student is trained without some of the labels '
            f'(class_dropout={student.class_dropout}), but the teacher, which '
            'is given the same, was not. Use a teacher with a class_dropout')
    swapped = [
        getattr(m.data_preprocessor, '_channel_conversion', False)
        for m in (student, teacher)
    ]
    if swapped[0] != swapped[1]:
        raise ValueError(
            'one of student and teacher swaps red and blue in its '
            'data_preprocessor, the other does not, but both are given the '
            'same noisy images. Use a teacher of the same order of channels')
