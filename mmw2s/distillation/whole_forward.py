# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Whether a teacher's maps are those of the batch, call by call."""
import copy
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional

import torch
from torch import Tensor, nn

from .capture import Call, Capture
from .rng import preserved_rng

__all__ = ['WholeForward']


class _Seen(Exception):
    """Ends a forward at the first module that is given a batch."""


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
        capture (Capture): Watches its modules.
    """

    def __init__(self, model: nn.Module, name: str, capture: Capture) -> None:
        self._model, self._name, self._capture = model, name, capture

    def check(self, forward: Callable[[Any, Any], Any], inputs: Tensor,
              data_samples: Any, until: Mapping[str, int]) -> None:
        """Refuse a forward whose calls are not those of the student's.

        Args:
            forward (Callable): Of inputs and data samples.
            inputs (Tensor): As the teacher is given them.
            data_samples (Any): Copied, for a forward to its end changes them.
            until (Mapping[str, int]): Calls a module of the student.

        Raises:
            ValueError: With what the teacher does and what to do.
        """

        def begin(images: Any) -> Any:
            return forward(images, copy.deepcopy(data_samples))

        for is_last in (False, True):
            with preserved_rng():
                counts = self._counts(lambda: begin(inputs), until)
                reason = self._other_counts(counts, until)
                if reason is None:
                    reason = self._other_input(begin, inputs)
            if reason is None:
                return
            if is_last:
                raise ValueError(
                    f'the teacher {self._name} {reason}. Its maps are not '
                    'those of the batch as the student sees it: let it look '
                    'at the whole image once, at the size that it is given '
                    '(teacher.cfg_options, such as '
                    '"model.test_cfg.mode": "whole"), or name other modules '
                    'in the knowledge')

    def _counts(self, forward: Callable[[], Any],
                until: Mapping[str, int]) -> Dict[str, int]:
        """How often each module is called, as far as the forward gets."""
        self._capture.open()
        error: Optional[Exception] = None
        try:
            forward()
        except Exception as caught:
            # Predictions from data samples of training may fail, after all
            # that is asked for.
            error = caught
        calls: Dict[str, List[Call]] = self._capture.close()
        counts = {name: len(calls[name]) for name in until}
        if error is not None and any(counts[n] < c for n, c in until.items()):
            raise error
        return counts

    @staticmethod
    def _other_counts(counts: Mapping[str, int],
                      until: Mapping[str, int]) -> Optional[str]:
        other = [
            f'calls {name} {count} times in its forward where the student\'s '
            f'is called {until[name]} times' for name, count in counts.items()
            if count != until[name]
        ]
        return ', '.join(other) or None

    def _other_input(self, begin: Callable[[Any], Any],
                     inputs: Tensor) -> Optional[str]:
        """What is amiss with the first tensor that a module is given."""
        given = self._first_input(begin, inputs)
        if given is None or given is inputs:
            return None
        if given.shape[:1] != inputs.shape[:1] or \
                given.shape[2:] != inputs.shape[2:]:
            return (f'looks at images of shape {tuple(given.shape)} where it '
                    f'is given {tuple(inputs.shape)}')
        if given.shape == inputs.shape and torch.equal(given, inputs):
            return None
        # Another normalisation, or other images?
        changed = self._first_input(begin, inputs + 1)
        same = (given == changed).flatten(1).all(1)
        if given.shape != changed.shape or bool(same.any()):
            return 'first looks at other images than those that it is given'
        return None

    def _first_input(self, begin: Callable[[Any], Any],
                     inputs: Tensor) -> Optional[Tensor]:
        seen: List[Tensor] = []

        def note(module: nn.Module, args: tuple, kwargs: dict) -> None:
            for value in (*args, *kwargs.values()):
                if isinstance(value, Tensor) and \
                        value.is_floating_point() and \
                        value.dim() == inputs.dim():
                    seen.append(value)
                    raise _Seen

        with _on_every_child(self._model, note):
            try:
                begin(inputs)
            except _Seen:
                pass
        return seen[0] if seen else None


@contextmanager
def _on_every_child(model: nn.Module, hook: Callable) -> Iterator[None]:
    handles = [
        module.register_forward_pre_hook(hook, with_kwargs=True)
        for module in model.modules() if module is not model
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
