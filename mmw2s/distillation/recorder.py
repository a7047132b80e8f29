# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Records the inputs and outputs of named modules of a model."""
import difflib
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map

__all__ = ['Call', 'Recorder', 'find_module']


class Call(NamedTuple):
    """One call of a module: its positional inputs and its output."""
    inputs: tuple
    output: Any


class _Noted(NamedTuple):
    """A call, with what is needed to see whether its output was changed."""
    call: Call
    tensors: List[Tensor] = []  # none: nothing can change it any more
    versions: List[int] = []  # how often each was changed in place
    copy: Any = None  # of the output, where one was made


class EnoughRecorded(BaseException):
    """Ends a forward once everything that was asked for is recorded.

    It is no ``Exception``, so that no ``except Exception`` in the model's code
    catches it.
    """


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
    found = modules.get(name)
    if isinstance(found, torch.jit.ScriptModule):
        raise ValueError(
            f'the {owner}\'s {name} is TorchScript, which cannot be watched: '
            'export the model by torch.export (.pt2) or give its code, or '
            'distill its logits alone (ClassLogits, teacher_module="head")')
    if found is not None:
        return found
    nearest = difflib.get_close_matches(name, modules, n=3, cutoff=0.4)
    nearest = nearest or [n for n, _ in model.named_children()]
    raise ValueError(f'the {owner} ({type(model).__name__}) has no module '
                     f'"{name}"; there are: {", ".join(nearest)}')


class Recorder:
    """Records the calls of named modules while it is open.

    While it is closed nothing is recorded and nothing is kept alive. So a
    recomputation in the backward pass (activation checkpointing) and a
    validation leave no trace.

    An output is recorded as the module gave it, even if a later layer changes
    it in place (``ReLU(inplace=True)``, ``out += identity``). The first
    forward shows which outputs are changed; from then on only those are
    copied.

    Args:
        model (nn.Module): The model whose modules are watched.
        names (Iterable[str]): Dotted names of the modules.
        owner (str): Whose model it is, for messages.

    Examples:
        >>> recorder = Recorder(model, ['neck'], 'student')
        >>> recorder.open()
        >>> model(images)
        >>> maps = recorder.close()['neck'][0].output
    """

    def __init__(self, model: nn.Module, names: Iterable[str],
                 owner: str) -> None:
        self._calls: Optional[Dict[str, List[_Noted]]] = None
        # Name of a module -> whether a later layer changes its output. Empty
        # before the first forward.
        self._is_changed: Dict[str, bool] = {}
        self._owner = owner
        self._until: Optional[Mapping[str, int]] = None
        self.names = tuple(dict.fromkeys(names))
        modules = [find_module(model, name, owner) for name in self.names]
        self._handles = {
            # A compiled model calls it between two graphs.
            name:
            module.register_forward_hook(
                torch.compiler.disable(self._note_as(name)))
            for name, module in zip(self.names, modules)
        }

    def _note_as(self, name: str):

        def note(module: nn.Module, inputs: tuple, output: Any) -> None:
            if self._calls is None or name not in self._calls:
                return
            calls, call = self._calls[name], Call(inputs, output)
            calls.append(_Noted(call))
            if self._until is not None and all(
                    len(self._calls[n]) >= count
                    for n, count in self._until.items()):
                raise EnoughRecorded  # nothing can change this one any more
            tensors = [
                x for x in tree_flatten(output)[0]
                if isinstance(x, Tensor) and not x.is_inference()
            ]
            copy = _copy(output) if self._is_changed.get(name, True) else None
            calls[-1] = _Noted(call, tensors, [x._version for x in tensors],
                               copy)

        return note

    def open(self,
             until: Optional[Mapping[str, int]] = None,
             names: Optional[Iterable[str]] = None) -> None:
        """Forget everything and begin to record calls.

        Args:
            until (Mapping[str, int], optional): Number of calls of each
                module after which :class:`EnoughRecorded` ends the forward,
                so that nothing deeper than needed is computed. Defaults to
                None, which never ends it.
            names (Iterable[str], optional): Which of the modules are
                recorded. Defaults to None: all.
        """
        self._calls = {
            name: []
            for name in (self.names if names is None else names)
        }
        self._until = until

    def close(self) -> Dict[str, List[Call]]:
        """Stop recording, forget everything and return what was recorded.

        Raises:
            RuntimeError: If a later layer has changed an output in place, but
                had not in the first forward.
        """
        noted, self._calls, self._until = self._calls or {}, None, None
        calls: Dict[str, List[Call]] = {}
        for name, ones in noted.items():
            calls[name] = []
            for one in ones:
                call = one.call
                is_changed = [x._version for x in one.tensors] != one.versions
                if one.copy is not None:
                    self._is_changed[name] = \
                        is_changed or self._is_changed.get(name, False)
                if is_changed:
                    call = self._before_the_change(name, one)
                calls[name].append(call)
        return calls

    def _before_the_change(self, name: str, noted: _Noted) -> Call:
        if noted.copy is None:
            raise RuntimeError(
                f'the output of the {self._owner}\'s {name} is changed in '
                'place by a layer after it, but was not in the first batch: '
                'name in the knowledge the module that changes it')
        return noted.call._replace(output=noted.copy)

    def forget(self) -> None:
        """Stop recording, and forget everything."""
        self._calls = self._until = None

    def keep(self, names: Iterable[str]) -> None:
        """Forget everything, and watch no other modules than these."""
        self.forget()
        kept = set(names)
        for name in [name for name in self.names if name not in kept]:
            self._handles.pop(name).remove()
        self.names = tuple(self._handles)

    def remove(self) -> None:
        """Take the hooks off the model."""
        self.keep(())


def _copy(output: Any) -> Any:
    return tree_map(lambda x: x.clone()
                    if isinstance(x, Tensor) else x, output)
