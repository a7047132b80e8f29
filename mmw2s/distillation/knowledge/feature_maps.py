# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn

from mmw2s.registry import KNOWLEDGE
from mmw2s.utils.fields import check_choice, check_integer, check_seed
from mmw2s.utils.text import plural
from ..teacher_outputs import TeacherOutputs
from .adapter import KERNELS, ChannelAdapters, random_projection
from .base import Knowledge, Pair, Recorded

__all__ = ['FPNFeatures', 'maps_of', 'resized']


@KNOWLEDGE.register_module()
class FPNFeatures(Knowledge):
    """Feature maps of a named module, level by level.

    Each level of each call gives a pair of maps of shape (B, C, H, W). Levels
    of equal stride are paired: on the same images, their maps have equal
    sizes. Levels that only one model has are left out.

    If the numbers of channels differ, the wider map is brought to the
    channels of the narrower one: it is multiplied by a fixed random matrix
    with entries from N(0, 1 / C), where C is its own number of channels. This
    keeps angles and distances to a good approximation (`Random projections
    <https://doi.org/10.1090/conm/026/737400>`_). The matrix has no parameters
    and follows from a seed, so all ranks and resumed runs have the same one.
    With ``adapter='trained'`` a trained convolution brings the student's map
    to the teacher's channels instead. Other adapters of
    :class:`~.adapter.ChannelAdapters` are applied whether the channels differ
    or not.

    Args:
        module (str): The student's module that gives a map or a sequence of
            maps. Defaults to ``'neck'``.
        teacher_module (str, optional): The teacher's module. Defaults to the
            same name.
        levels (Sequence[int], optional): Indices of the levels to pair, in
            both models, counted from the finest. If the sizes differ, the
            teacher's map is resized to the student's. Defaults to None: all
            levels of a common stride.
        seed (int): Seed of the random projections. Defaults to 0.
        adapter (str): ``'fixed'`` random projections for different numbers of
            channels, or ``'trained'`` convolutions; ``'conv3x3'``, ``'mlp'``
            or ``'masked'``, trained too; ``'none'`` for a loss that does not
            compare channels. Defaults to ``'fixed'``.

    Raises:
        ValueError: If a field is out of range; from :meth:`pairs`,
            if a module gives no maps, or the two have no level in common.

    Examples:
        >>> distill = [dict(
        >>>     knowledge=dict(type='FPNFeatures'),
        >>>     loss=dict(type='PKDLoss', loss_weight=10.))]
    """

    name = 'fpn'
    gives = 'feature maps'

    def __init__(self,
                 module: str = 'neck',
                 teacher_module: Optional[str] = None,
                 levels: Optional[Sequence[int]] = None,
                 seed: int = 0,
                 adapter: str = 'fixed') -> None:
        super().__init__(module, teacher_module)
        name = type(self).__name__
        if levels is not None:
            _check_levels(f'{name}.levels', levels)
        check_seed(f'{name}.seed', seed)
        check_choice(f'{name}.adapter', adapter, ('fixed', 'none', *KERNELS))
        self.levels = levels
        self.seed, self.adapter = seed, adapter
        if adapter in KERNELS:
            self.adapters = ChannelAdapters(seed, adapter)
        self._projections: Dict[Tuple[int, int, int], Tensor] = {}
        self._told: set = set()

    def check(self, student: nn.Module, teacher: nn.Module) -> None:
        """Refuse two diffusion models: each would draw noise of its own."""
        if hasattr(student, 'alphas_cumprod') and hasattr(
                teacher, 'alphas_cumprod'):  # DenoisingDiffusion
            raise ValueError(
                f'{type(self).__name__} would pair the student\'s maps with '
                'the teacher\'s of other noise: use DenoisingFeatures for '
                'diffusion models')
        super().check(student, teacher)

    def pairs(self, recorded: Recorded, outputs: TeacherOutputs) -> List[Pair]:
        pairs = []
        always = self.adapters is not None and self.adapter != 'trained'
        for call, (student_call, teacher_call) in enumerate(
                zip(recorded[self.module], outputs[self.teacher_module])):
            student = maps_of(self.module, student_call.output)
            teacher = maps_of(self.teacher_module, teacher_call.output)
            for i, j in self._common_levels(student, teacher):
                name = f'{self.module}[{i}]'
                if i != j:
                    name += f' ({self.teacher_module}[{j}])'
                pair = Pair(name, student[i], teacher[j],
                            self._weight(outputs, call, j))
                if always or student[i].shape != teacher[j].shape:
                    pair = self._fitted(i, pair)
                pairs.append(pair)
        return pairs

    def _weight(self, outputs: TeacherOutputs, call: int,
                level: int) -> Optional[Tensor]:
        """How much each location of a teacher's level counts, (B, 1, h, w).
        """
        return None

    def _common_levels(self, student: Sequence[Tensor],
                       teacher: Sequence[Tensor]) -> List[Tuple[int, int]]:
        """Indices of the levels that are paired, in both models."""
        if self.levels is not None:
            for level in self.levels:
                if level >= min(len(student), len(teacher)):
                    raise ValueError(
                        f'FPNFeatures.levels has {level}, but the student '
                        f'gives {plural(len(student), "level")} and the '
                        f'teacher {len(teacher)}, counted from 0')
            return [(level, level) for level in self.levels]
        if len(student) == len(teacher) == 1:
            return [(0, 0)]
        common, free = [], list(range(len(teacher)))
        for i, maps in enumerate(student):
            for j in free:
                if maps.shape[2:] == teacher[j].shape[2:]:
                    common.append((i, j))
                    free.remove(j)
                    break
        if not common:
            raise ValueError(
                f'the student\'s {self.module} gives maps of '
                f'{_sizes(student)}, the teacher\'s {self.teacher_module} of '
                f'{_sizes(teacher)} (H x W): none are of one stride. Name '
                'modules that have one in common, or levels to be resized '
                '(FPNFeatures.levels)')
        if len(common) < max(len(student), len(teacher)):
            self._tell(
                'levels', 'FPNFeatures pairs '
                f'{plural(len(common), "level")} of a '
                f'common stride; the student\'s {self.module} gives '
                f'{len(student)}, the teacher\'s {self.teacher_module} '
                f'{len(teacher)}')
        return common

    def _fitted(self, level: int, pair: Pair) -> Pair:
        """The two maps at one size and with one number of channels."""
        name, student, teacher, weight = pair[:4]
        channels, wanted = student.shape[1], teacher.shape[1]
        if student.shape[2:] != teacher.shape[2:]:
            self._tell(
                name, f'{name}: the teacher\'s maps are brought from '
                f'{_sizes([teacher])} to the student\'s {_sizes([student])} '
                '(in the first batch)')
            teacher = resized(teacher, student.shape[2:])
            weight = None if weight is None else resized(
                weight, student.shape[2:])
        pair = Pair(name, student, teacher, weight)
        if self.adapter == 'none' or \
                channels == wanted and self.adapter in ('fixed', 'trained'):
            return pair
        trained = self.adapters is not None
        self._tell(
            'channels',
            f'{name}: the student\'s maps have {channels} channels, '
            f'the teacher\'s {wanted}; ' +
            (f'an adapter ({self.adapter}) brings the student\'s to the '
             'teacher\'s channels'
             if trained else 'a random projection brings the wider '
             'ones to the others\' channels'))
        if trained:
            return pair._replace(
                adapter=self.adapters.adapter(level, student, wanted))
        if channels > wanted:
            return pair._replace(student=self._project(level, student, wanted))
        return pair._replace(teacher=self._project(level, teacher, channels))

    def _project(self, level: int, maps: Tensor, channels: int) -> Tensor:
        key = (level, channels, maps.shape[1])
        if key not in self._projections:
            matrix = random_projection(self.seed + level, key[2], channels)
            self._projections[key] = matrix.to(maps.device)
        return F.conv2d(maps, self._projections[key].to(maps.dtype))

    def _tell(self, what: str, message: str) -> None:
        """Log it once."""
        if what not in self._told:
            self._told.add(what)
            print_log(message, logger='current')


def _check_levels(name: str, levels: Any) -> None:
    if not isinstance(levels, (list, tuple)) or not levels:
        raise ValueError(f'{name} should be a list of levels, counted from 0 '
                         f'at the finest, but got {levels!r}')
    for i, level in enumerate(levels):
        check_integer(f'{name}[{i}]', level, at_least=0)
    if len(set(levels)) < len(levels):
        raise ValueError(f'{name} should name each level once, but got '
                         f'{levels!r}')


def maps_of(module: str, output: Any) -> Tuple[Tensor, ...]:
    maps = (output, ) if isinstance(output, Tensor) else tuple(output)
    for x in maps:
        if not isinstance(x, Tensor) or x.dim() != 4:
            given = f'a tensor of shape {tuple(x.shape)}' \
                if isinstance(x, Tensor) else f'a {type(x).__name__}'
            raise ValueError(
                f'{module} gives {given}, neither maps (B, C, H, W) nor, for '
                'HiddenFeatures, tokens (B, L, C): name a stage or a block, '
                'such as "backbone.layer4" or "backbone.layers.11"')
    return maps


def _sizes(maps: Sequence[Tensor]) -> str:
    return ', '.join(f'{m.shape[2]} x {m.shape[3]}' for m in maps)


def resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Resize maps: average where they shrink, interpolate where they grow."""
    if list(maps.shape[2:]) == list(size):
        return maps
    smaller = [min(a, b) for a, b in zip(maps.shape[2:], size)]
    maps = F.adaptive_avg_pool2d(maps, smaller)
    if list(maps.shape[2:]) == list(size):
        return maps
    return F.interpolate(
        maps, tuple(size), mode='bilinear', align_corners=False)
