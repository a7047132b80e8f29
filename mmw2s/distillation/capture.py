# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Reading what named modules of a model are given and give."""
import difflib
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional

import torch
from torch import nn

__all__ = ['Call', 'Capture', 'find_module']


class Call(NamedTuple):
    """One call of a module: its positional inputs and its output."""
    inputs: tuple
    output: Any


class EnoughCaptured(Exception):
    """Ends a forward once everything that was asked for is captured."""


def find_module(model: nn.Module, name: str, owner: str) -> nn.Module:
    """The submodule ``name`` of ``model``, or an error that helps to find it.

    Args:
        model (nn.Module): The model that is searched.
        name (str): Dotted name, as in ``model.named_modules()``.
        owner (str): Whose model it is ("student", "teacher").

    Raises:
        ValueError: If the model has no such module. The message names the
            nearest ones.
    """
    modules = dict(model.named_modules())
    if name in modules:
        return modules[name]
    nearest = difflib.get_close_matches(name, modules, n=3, cutoff=0.4)
    nearest = nearest or [n for n, _ in model.named_children()]
    raise ValueError(f'the {owner} ({type(model).__name__}) has no module '
                     f'"{name}"; there are: {", ".join(nearest)}')


class Capture:
    """Notes the calls of named modules while it is open.

    Nothing is noted, and nothing is kept alive, while it is closed, so a
    recomputation in the backward pass (activation checkpointing) and a
    validation leave no trace.

    Args:
        model (nn.Module): The model whose modules are watched.
        names (Iterable[str]): Dotted names of the modules.
        owner (str): Whose model it is, for messages.
    """

    def __init__(self, model: nn.Module, names: Iterable[str],
                 owner: str) -> None:
        self._calls: Optional[Dict[str, List[Call]]] = None
        self._until: Optional[Mapping[str, int]] = None
        self.names = tuple(dict.fromkeys(names))
        modules = [find_module(model, name, owner) for name in self.names]
        self._handles = [
            # A compiled model calls it between two graphs.
            module.register_forward_hook(
                torch.compiler.disable(self._note_as(name)))
            for name, module in zip(self.names, modules)
        ]

    def _note_as(self, name: str):

        def note(module: nn.Module, inputs: tuple, output: Any) -> None:
            if self._calls is None:
                return
            self._calls[name].append(Call(inputs, output))
            if self._until is not None and all(
                    len(self._calls[n]) >= count
                    for n, count in self._until.items()):
                raise EnoughCaptured

        return note

    def open(self, until: Optional[Mapping[str, int]] = None) -> None:
        """Begin to note calls.

        Args:
            until (Mapping[str, int], optional): Number of calls a module
                after which :class:`EnoughCaptured` ends the forward, so that
                nothing deeper than needed is computed. Defaults to None,
                which never ends it.
        """
        self._calls = {name: [] for name in self.names}
        self._until = until

    def close(self) -> Dict[str, List[Call]]:
        """Stop noting, forget everything and return what was noted."""
        calls, self._calls, self._until = self._calls or {}, None, None
        return calls

    def remove(self) -> None:
        """Take the hooks off the model."""
        self.close()
        for handle in self._handles:
            handle.remove()
        self._handles = []
