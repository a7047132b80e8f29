# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Checks that a teacher's maps are those of the batch, call by call."""
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
    """Runs a teacher's forward to its end and checks it, in the first batch.

    In other steps the forward ends with the last call that is needed. Then it
    is not seen whether more calls would follow, or which images the first
    call was given. But a teacher may slide a window over the image, augment
    it, resize it, or first look at other images. Its maps are not those of
    the batch then, and cannot be paired with the student's.

    A forward that fails the check is repeated once, because some models do
    something in their first forward alone, such as features of prototypes.

    Args:
        model (nn.Module): The teacher.
        name (str): Name of the teacher, for messages.
        recorder (Recorder): Records the calls of its modules.
    """

    def __init__(self, model: nn.Module, name: str,
                 recorder: Recorder) -> None:
        self._model, self._name, self._recorder = model, name, recorder

    def calls(self, forward: Callable[[Any, Any], Any], inputs: Tensor,
              data_samples: Any, until: Mapping[str, int]) -> Calls:
        """The calls of the watched modules, in a forward to its end.

        Args:
            forward (Callable): Takes inputs and data samples.
            inputs (Tensor): The teacher's inputs, shape (B, C, H, W).
            data_samples (Any): Data samples. They are copied, because a whole
                forward changes them.
            until (Mapping[str, int]): Name of a module -> the number of calls
                that belong to the student's.

        Returns:
            dict[str, list[Call]]: Name of a module -> its calls.

        Raises:
            ValueError: If the calls do not belong to the batch. The message
                says what the teacher does and what to do.
        """

        def look(images: Tensor) -> Tuple[Calls, Optional[Tensor]]:
            # The rest of the forward may draw random numbers.
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
                # With data samples of training, the post-processing may
                # fail. By then all needed calls have been recorded.
                error = caught
        calls = self._recorder.close()
        if error is not None and any(
                len(calls[name]) < count for name, count in until.items()):
            raise error
        return calls, first[0] if first else None


def _other_counts(calls: Calls, until: Mapping[str, int]) -> Optional[str]:
    """What is wrong with the numbers of calls, or None."""
    other = [
        f'calls {name} {len(calls[name])} times in its forward, the student '
        f'its own {count} times' for name, count in until.items()
        if len(calls[name]) != count
    ]
    return ', '.join(other) or None


def _other_input(first: Optional[Tensor], inputs: Tensor,
                 first_of: Callable[[Tensor], Tensor]) -> Optional[str]:
    """What is wrong with the first images that a module is given, or None."""
    if first is None or first is inputs:
        return None
    # A grey image may have become one of three channels.
    if first.shape[:1] != inputs.shape[:1] or \
            first.shape[2:] != inputs.shape[2:]:
        return (f'looks at images of shape {tuple(first.shape)} where it is '
                f'given {tuple(inputs.shape)}')
    if first.shape == inputs.shape and torch.equal(first, inputs):
        return None
    # Another normalization, or other images? Change the inputs in a way that
    # no normalization takes out again, and look whether the change is seen.
    followed = first_of(
        inputs + torch.linspace(0, 1, inputs.shape[-1], device=inputs.device))
    if first.shape != followed.shape or \
            (first == followed).flatten(1).all(1).any():
        return 'first looks at other images than those that it is given'
    if _is_rescaled(first, inputs):
        return None
    # Is a change in one corner of one image seen there, and not elsewhere? The
    # change flips the corner, so statistics of the whole image stay the same.
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
    """Notes the first tensor with ``dim`` dimensions that a child is given."""
    seen: List[Tensor] = []

    def note(module: nn.Module, args: tuple, kwargs: dict) -> None:
        if not seen:
            seen.extend(
                x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)
                and x.is_floating_point() and x.dim() == dim)

    handles = [
        module.register_forward_pre_hook(note, with_kwargs=True)
        for module in model.modules() if module is not model
        and not isinstance(module, torch.jit.ScriptModule)  # takes no hooks
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
