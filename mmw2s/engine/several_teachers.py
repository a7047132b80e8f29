# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Several teachers of one run, each with a hook of its own."""
import re
from typing import List, Optional

from mmengine.hooks import Hook

from mmw2s.utils.fields import check_text

__all__ = ['FIRST', 'check_name', 'check_several', 'waits_for']

#: Name of the first hook, or the only one.
FIRST = 'w2s'
_HOOK = 'WeakTeacherDistillHook'


def check_name(name: str) -> None:
    """Refuse a name that cannot be part of files and of log lines.

    Raises:
        TypeError, ValueError: The message has a name that could be.
    """
    check_text(f'{_HOOK}.name', name)
    if not re.fullmatch(r'w2s(_[A-Za-z0-9_]+)?', name):
        raise ValueError(
            f'{_HOOK}.name should be "{FIRST}", or "{FIRST}_" and a word, as '
            f'"{FIRST}_larger", but is {name!r}')


def check_several(runner, hook: Hook) -> None:
    """Refuse hooks that would mix up their records, or what they teach.

    Args:
        runner (Runner): The run.
        hook (WeakTeacherDistillHook): One of its hooks.

    Raises:
        ValueError: The message names the field to change.
    """
    hooks = _hooks(runner, type(hook))
    names = [other.fields.name for other in hooks]
    name, after = hook.fields.name, hook.fields.after
    if names.count(name) > 1:
        raise ValueError(
            f'the run has more than one {_HOOK} of the name {name!r} (look at '
            'custom_hooks and default_hooks): keep one, or give each further '
            f'teacher a name, as name="{FIRST}_larger"')
    if FIRST not in names:
        raise ValueError(f'{_HOOK}.name is {name!r}, but the run has no hook '
                         f'of the name "{FIRST}": leave the name out of one')
    before = names[:names.index(name)]
    if after is not None and after not in before:
        raise ValueError(
            f'{_HOOK}.after of {name!r} should name a hook that comes before '
            f'it in the config ({", ".join(before) or "none does"}), but is '
            f'{after!r}')
    if len(hooks) == 1:
        return
    if hook.fields.task_weight != 1:
        raise ValueError(
            f'{_HOOK}.task_weight of {name!r} is {hook.fields.task_weight:g}, '
            'but the run has several teachers, and would weigh the task for '
            'each: leave it out')
    starts = [h.fields.name for h in hooks if h.fields.start is not None]
    if len(starts) > 1:
        raise ValueError(
            f'{_HOOK}.start is given for {", ".join(starts)}, and the last '
            'would replace what the others did: keep one')


def waits_for(runner, hook: Hook) -> Optional[Hook]:
    """The hook whose end another one waits for, if it does."""
    return next((other for other in _hooks(runner, type(hook))
                 if other.fields.name == hook.fields.after), None)


def _hooks(runner, kind: type) -> List[Hook]:
    return [hook for hook in runner.hooks if isinstance(hook, kind)]
