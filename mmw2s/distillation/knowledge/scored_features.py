# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Dict, List, Optional, Sequence, Tuple

from torch import Tensor, nn

from mmw2s.registry import KNOWLEDGE
from mmw2s.utils.fields import check_text
from ..recorder import find_module
from ..teacher_outputs import TeacherOutputs
from .base import Recorded
from .dense_head import best_probability, score_form
from .dense_head_facts import why_unreadable
from .feature_maps import FPNFeatures

__all__ = ['ScoredFeatures']


@KNOWLEDGE.register_module()
class ScoredFeatures(FPNFeatures):
    """Feature maps, weighted by how sure the teacher is of an object.

    The weight of a location is the probability of the likeliest class of the
    likeliest anchor there, by the teacher's dense head. Everything else is as
    in :class:`FPNFeatures`.

    The teacher's forward goes on through its head. This costs nothing if its
    scores are distilled too.

    Args:
        module (str): As in :class:`FPNFeatures`. Defaults to ``'neck'``.
        teacher_module (str, optional): The teacher's module, whose levels are
            those of its head. Defaults to the same name.
        levels (Sequence[int], optional): As in :class:`FPNFeatures`.
            Defaults to None.
        seed (int): Seed of the random projections. Defaults to 0.
        adapter (str): As in :class:`FPNFeatures`. Defaults to ``'fixed'``.
        head (str): The teacher's dense head. Defaults to ``'bbox_head'``.

    Raises:
        ValueError: As in :class:`FPNFeatures`; from :meth:`check`, if the
            scores of the head cannot be read; from :meth:`pairs`, if its
            levels are others than those of the maps.

    Examples:
        >>> distill = [dict(
        >>>     knowledge=dict(type='ScoredFeatures'),
        >>>     loss=dict(type='PKDLoss', loss_weight=10.))]
    """

    name = 'scored'

    def __init__(self,
                 module: str = 'neck',
                 teacher_module: Optional[str] = None,
                 levels: Optional[Sequence[int]] = None,
                 seed: int = 0,
                 adapter: str = 'fixed',
                 head: str = 'bbox_head') -> None:
        super().__init__(module, teacher_module, levels, seed, adapter)
        check_text('ScoredFeatures.head', head, 'the name of a module')
        self.head = head

    @property
    def teacher_modules(self) -> Tuple[str, ...]:
        return (self.teacher_module, self.head)

    def calls_needed(self, recorded: Recorded) -> Dict[str, int]:
        calls = len(recorded[self.module])
        return {self.teacher_module: calls, self.head: calls}

    def check(self, student: nn.Module, teacher: nn.Module) -> None:
        """Refuse a head whose scores do not say where objects are."""
        super().check(student, teacher)
        head = find_module(teacher, self.head, 'teacher')
        why_not = why_unreadable(head)
        if why_not is not None:
            raise ValueError(
                f'the teacher\'s {self.head} is a {type(head).__name__}, '
                f'{why_not}: it cannot weight the maps. Use FPNFeatures')

    def bind(self, student: nn.Module, teacher: nn.Module) -> None:
        """Learn in which form the teacher's head gives its scores."""
        head = teacher.get_submodule(self.head)
        self._anchors = head.prior_generator.num_base_priors
        self._form = score_form(head)

    def _weight(self, outputs: TeacherOutputs, call: int,
                level: int) -> Optional[Tensor]:
        maps = outputs[self.teacher_module][call].output
        weights = outputs.memo((type(self), self.head, call), self._weights,
                               outputs[self.head][call].output[0])
        if len(weights) != len(maps) or \
                weights[level].shape[2:] != maps[level].shape[2:]:
            raise ValueError(
                f'the teacher\'s {self.head} gives scores of other levels '
                f'than the maps of its {self.teacher_module}: name the module '
                'whose maps the head is given (ScoredFeatures.teacher_module)')
        return weights[level]

    def _weights(self, scores: Sequence[Tensor]) -> List[Tensor]:
        """Of each level, (B, A * C, H, W), the best score, (B, 1, H, W)."""
        levels = [
            level.unflatten(1, (count, -1)).permute(0, 3, 4, 1, 2)
            for level, count in zip(scores, self._anchors)
        ]
        return [
            best.amax(-1)[:, None]
            for best in best_probability(levels, self._form)
        ]
