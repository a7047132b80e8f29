# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Looks at the losses and gradients of a step, for stop rules that ask."""
from typing import (TYPE_CHECKING, Any, Dict, Iterable, List, Mapping,
                    Optional, Sequence)

import torch
from mmengine.dist import all_reduce
from torch import Tensor
from torch.utils._pytree import tree_leaves

from .gradient_share import SCALE
from .recorder import Call
from .stop_rules.looking import ALL, COSINE, LOSS, LookingRule

if TYPE_CHECKING:
    from .distiller import Distiller

__all__ = ['StepLooks', 'gradient_cosine']

Recorded = Mapping[str, List[Call]]


class StepLooks:
    """Looks at steps that distill, when a rule asks for it.

    A look computes what the rules ask for, averaged over ranks. Training stays
    as it is, bit by bit: no gradient is accumulated. A rule that asks for a
    cosine costs a backward of the task's loss and one of the distillation's,
    both no deeper than the modules that the entries name.

    Args:
        rules (Iterable[LookingRule]): The rules.
    """

    def __init__(self, rules: Iterable[LookingRule]) -> None:
        self._rules = list(rules)
        self._latest: Dict[str, Dict[str, Tensor]] = {}

    def are_due(self, iteration: int) -> bool:
        """Whether a rule asks for a look at an iteration that distills."""
        return any(rule.is_due(iteration) for rule in self._rules)

    def look(self, distiller: 'Distiller', task_losses: Dict[str, Any],
             losses: Mapping[str, Tensor], weighted: Mapping[str, Tensor],
             recorded: Recorded) -> None:
        """Compute what the rules that are due ask for.

        Args:
            distiller (Distiller): The distiller, in its forward.
            task_losses (dict): The student's own losses.
            losses (Mapping[str, Tensor]): Key of an entry that acts -> its
                loss at full strength, 0-dim.
            weighted (Mapping[str, Tensor]): The same as they are summed.
            recorded (Mapping[str, list[Call]]): The student's calls.
        """
        asked: Dict[str, List[str]] = {}
        for rule in self._rules:
            of = rule.entry or ALL
            if rule.is_due(distiller.iteration) and (of == ALL
                                                     or of in losses):
                asked.setdefault(rule.looks_at, []).append(of)
        if LOSS in asked:
            self._latest[LOSS] = {
                of: _reduced(_of(of, losses).detach().float())
                for of in dict.fromkeys(asked[LOSS])
            }
        if COSINE in asked:
            task = distiller.student.parse_losses(task_losses)[0]
            modules = {
                term.key: term.knowledge.student_modules
                for term in distiller.terms
            }
            self._latest[COSINE] = {
                of:
                gradient_cosine(
                    task, _of(of, weighted),
                    _maps(recorded, recorded if of == ALL else modules[of]),
                    of)
                for of in dict.fromkeys(asked[COSINE])
            }

    def take(self) -> Dict[str, Dict[str, Optional[float]]]:
        """What was seen in the latest step: event -> key -> value.

        The value is None where it is not finite. Empty at the second call,
        and after a step without a look. Call it after the step, whose losses
        the host has waited for already.
        """
        latest, self._latest = self._latest, {}
        return {
            event: {
                key: _number(value)
                for key, value in values.items()
            }
            for event, values in latest.items()
        }


def gradient_cosine(task: Tensor, distillation: Tensor, maps: Sequence[Tensor],
                    of: str) -> Tensor:
    """The cosine of the gradients of two losses on some maps.

    It is that of the whole batch of all ranks. Maps that only one of the
    losses reaches are left out.

    Args:
        task (Tensor): Sum of the student's own losses, 0-dim.
        distillation (Tensor): The distillation's loss, 0-dim.
        maps (Sequence[Tensor]): Tensors of the student's graph.
        of (str): Whose distillation it is, for the message.

    Returns:
        Tensor: The cosine, 0-dim. NaN if one of the gradients is 0.

    Raises:
        ValueError: If the two have no map in common.
    """
    try:
        ones, others = (
            torch.autograd.grad(
                loss * SCALE, maps, retain_graph=True, allow_unused=True)
            for loss in (task, distillation))
    except RuntimeError as error:  # a compiled graph, or one checkpointed
        raise ValueError(
            'stop=StopOnConflict needs a second backward through the '
            f'student\'s graph, which refuses it ({error}): use another stop '
            'rule') from error
    both = [(a.double(), b.double()) for a, b in zip(ones, others)
            if a is not None and b is not None]
    if not both:
        raise ValueError(
            f'stop=StopOnConflict: the gradients of the task and of {of} '
            'have no map in common. Name in the knowledge a module whose '
            'output the student\'s head is given, and no layer changes in '
            'place; or use another stop rule')
    sums = _reduced(
        torch.stack([
            sum((one * other).sum() for one, other in pairs)
            for pairs in (both, [(a, a) for a, _ in both], [(b, b)
                                                            for _, b in both])
        ]))
    return sums[0] / (sums[1] * sums[2]).sqrt()


def _of(key: str, losses: Mapping[str, Tensor]) -> Tensor:
    return sum(losses.values()) if key == ALL else losses[key]


def _maps(recorded: Recorded, names: Iterable[str]) -> List[Tensor]:
    """The tensors with a gradient that some modules have given."""
    outputs = [call.output for name in names for call in recorded[name]]
    found = [
        x for x in tree_leaves(outputs)
        if isinstance(x, Tensor) and x.requires_grad
    ]
    return list({id(x): x for x in found}.values())


def _reduced(values: Tensor) -> Tensor:
    all_reduce(values, 'mean')
    return values


def _number(value: Tensor) -> Optional[float]:
    return value.item() if torch.isfinite(value) else None
