# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Whether a teacher's maps are those of the batch, call by call."""
import copy
from contextlib import contextmanager
from typing import (Any, Callable, Dict, Iterator, List, Mapping, Optional,
                    Tuple)

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmw2s.utils.rng import preserved_rng
from .failures import is_of_the_machine
from .recorder import Call, Recorder

__all__ = ['WholeForward']

Calls = Dict[str, List[Call]]


class WholeForward:
    """Looks at a teacher's forward to its end, for the first batch.

    In a step the teacher's forward ends with the last call that is asked for,
    so that what would follow, and what the first calls were made of, is not
    seen. A teacher that slides a window over the image, augments it, resizes
    it or first looks at images of its own gives maps that do not belong to
    the student's. Such a forward is looked at twice: what is done once, such
    as features of a set of prototypes, is over by then.

    Args:
        model (nn.Module): The teacher.
        name (str): Its name, for messages.
        recorder (Recorder): Watches its modules.
    """

    def __init__(self, model: nn.Module, name: str,
                 recorder: Recorder) -> None:
        self._model, self._name, self._recorder = model, name, recorder

    def calls(self, forward: Callable[[Any, Any], Any], inputs: Tensor,
              data_samples: Any, until: Mapping[str, int]) -> Calls:
        """The calls of the watched modules, in a forward to its end.

        Args:
            forward (Callable): Of inputs and data samples.
            inputs (Tensor): As the teacher is given them.
            data_samples (Any): Copied, for a forward to its end changes them.
            until (Mapping[str, int]): Calls a module of the student.

        Raises:
            ValueError: If they are not those of the student's, with what the
                teacher does and what to do.
        """

        def look(images: Tensor) -> Tuple[Calls, Optional[Tensor]]:
            # What follows that which is asked for may draw random numbers.
            with preserved_rng():
                return self._look(
                    lambda: forward(images, copy.deepcopy(data_samples)),
                    images, until)

        for _ in range(2):
            calls, first = look(inputs)
            reason = _other_counts(calls, until) or _other_input(
                first, inputs, lambda images: look(images)[1])
            if reason is None:
                return calls
        raise ValueError(
            f'the teacher {self._name} {reason}. Its maps are not those of '
            'the batch as the student sees it: let it look at the whole image '
            'once, at the size that it is given (teacher.cfg_options, such as '
            '"model.test_cfg.mode": "whole"), or name other modules in the '
            'knowledge')

    def _look(self, forward: Callable[[], Any], inputs: Tensor,
              until: Mapping[str, int]) -> Tuple[Calls, Optional[Tensor]]:
        """The calls, and the first batch that a module was given."""
        error: Optional[Exception] = None
        self._recorder.open()
        with _first_batch(self._model, inputs.dim()) as first:
            try:
                forward()
            except Exception as caught:
                if is_of_the_machine(caught):
                    raise
                # Predictions from data samples of training may fail, after
                # all that is asked for.
                error = caught
        calls = self._recorder.close()
        if error is not None and any(
                len(calls[name]) < count for name, count in until.items()):
            raise error
        return calls, first[0] if first else None


def _other_counts(calls: Calls, until: Mapping[str, int]) -> Optional[str]:
    """What is amiss with how often modules are called."""
    other = [
        f'calls {name} {len(calls[name])} times in its forward, the student '
        f'its own {count} times' for name, count in until.items()
        if len(calls[name]) != count
    ]
    return ', '.join(other) or None


def _other_input(first: Optional[Tensor], inputs: Tensor,
                 first_of: Callable[[Tensor], Tensor]) -> Optional[str]:
    """What is amiss with the first batch that a module is given."""
    if first is None or first is inputs:
        return None
    # A grey image may have become one of three channels.
    if first.shape[:1] != inputs.shape[:1] or \
            first.shape[2:] != inputs.shape[2:]:
        return (f'looks at images of shape {tuple(first.shape)} where it is '
                f'given {tuple(inputs.shape)}')
    if first.shape == inputs.shape and torch.equal(first, inputs):
        return None
    # Another normalization, or other images? Look whether it follows a change
    # that none takes out again.
    followed = first_of(
        inputs + torch.linspace(0, 1, inputs.shape[-1], device=inputs.device))
    if first.shape != followed.shape or \
            (first == followed).flatten(1).all(1).any():
        return 'first looks at other images than those that it is given'
    if _is_rescaled(first, inputs):
        return None
    # Is a change of one corner of one image seen there, and not elsewhere?
    # Its pixels change their places: what is computed from all stays.
    height, width = (size // 2 for size in inputs.shape[-2:])
    corner = torch.zeros_like(inputs[:, 0], dtype=torch.bool)
    corner[0, :height, :width] = True
    changed = inputs.clone()
    changed[0, :, :height, :width] = inputs[0, :, :height, :width].flip(-1)
    change = (first_of(changed) - first).abs().mean(1)
    elsewhere = max([change[0][~corner[0]].mean(), *change[1:].mean((1, 2))])
    if elsewhere > change[corner].mean() / 2:
        return ('first looks at images whose pixels are elsewhere than in '
                'those that it is given (flipped, shifted, or in another '
                'order)')
    return None


def _is_rescaled(first: Tensor, inputs: Tensor) -> bool:
    """Whether each channel is one of the inputs' by scale and shift.

    Args:
        first (Tensor): Shape (B, D, H, W).
        inputs (Tensor): Shape (B, C, H, W).
    """
    given, seen = (
        F.normalize(x - x.mean(-1, keepdim=True), dim=-1)
        for x in (inputs.float().flatten(2), first.float().flatten(2)))
    correlation = torch.einsum('bcn,bdn->bdc', given, seen).abs()
    return correlation.amax(-1).min().item() > 0.999


@contextmanager
def _first_batch(model: nn.Module, dim: int) -> Iterator[List[Tensor]]:
    """Notes the first tensor of so many dimensions that a child is given."""
    seen: List[Tensor] = []

    def note(module: nn.Module, args: tuple, kwargs: dict) -> None:
        if not seen:
            seen.extend(
                x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)
                and x.is_floating_point() and x.dim() == dim)

    handles = [
        module.register_forward_pre_hook(note, with_kwargs=True)
        for module in model.modules() if module is not model
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
