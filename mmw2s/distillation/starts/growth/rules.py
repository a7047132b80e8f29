# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Who knows how to grow a module: one rule for each family of models."""
from typing import Callable, Dict, List, Optional

from torch import Tensor, nn

from ..layers import other_class

__all__ = [
    'CannotGrow', 'GrowthRule', 'State', 'families', 'find_rule',
    'growth_rule', 'refuse_other_class'
]

#: Tensors by their names in a module's state dict.
State = Dict[str, Tensor]
#: The tensors that the student's module takes, computed from the teacher's,
#: which has the same name. What the rule leaves out keeps its initialization:
#: the layers of new blocks. None: the rule is not for these two.
GrowthRule = Callable[[nn.Module, nn.Module], Optional[State]]

_RULES: Dict[str, GrowthRule] = {}


class CannotGrow(ValueError):
    """A module of the student cannot compute what the teacher's computes.

    Args:
        why (str): In words, with advice.
        place (str): Name of the module. Defaults to '', the whole model.
    """

    def __init__(self, why: str, place: str = '') -> None:
        super().__init__(f'{place}: {why}' if place else why)
        self.why, self.place = why, place

    def inside(self, name: str) -> 'CannotGrow':
        """The same, told by the module that has it as its child ``name``."""
        place = f'{name}.{self.place}' if self.place else name
        return CannotGrow(self.why, place)


def growth_rule(*names: str) -> Callable[[GrowthRule], GrowthRule]:
    """Register a rule for modules whose class, or a base of it, is so named.

    Classes are compared by name, so their packages need not be installed. A
    rule draws random numbers, if any, from torch's generator of the CPU:
    :class:`Grow` seeds it, so that all ranks draw the same.

    Raises:
        ValueError: If there is a rule of that name already.

    Examples:
        >>> @growth_rule('ResNet')
        >>> def grow_resnet(student, teacher):
        >>>     if type(student) is not type(teacher):
        >>>         raise CannotGrow('the teacher\'s is of another class')
        >>>     return {'conv1.weight': copied(teacher.conv1.weight, 2)}
    """

    def register(rule: GrowthRule) -> GrowthRule:
        for name in names:
            if name in _RULES:
                raise ValueError(f'there is a growth rule for {name} already')
            _RULES[name] = rule
        return rule

    return register


def find_rule(module: nn.Module) -> Optional[GrowthRule]:
    """The rule for a module's class, or its nearest base that has one."""
    for cls in type(module).__mro__:
        if cls.__name__ in _RULES:
            return _RULES[cls.__name__]
    return None


def families() -> List[str]:
    """Names of the classes that have a rule."""
    return sorted(_RULES)


def refuse_other_class(student: nn.Module, teacher: nn.Module) -> None:
    """Refuse two modules of different classes.

    Batch norms are of one class here: over several processes or not.

    Raises:
        CannotGrow: If they differ.
    """
    reason = other_class(student, teacher)
    if reason:
        raise CannotGrow(reason)
