# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Several teachers of one run, each with a hook of its own."""
import logging
import os.path as osp
import re
from typing import TYPE_CHECKING, Sequence

from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmw2s.distillation.terms import PREFIX
from mmw2s.records.files import FIRST, further_records, set_aside
from mmw2s.utils.fields import check_text
from .logged_scalars import LoggedScalars

if TYPE_CHECKING:
    from .hooks import WeakTeacherDistillHook

__all__ = ['check_name', 'check_several', 'forget_absent', 'warn_of_no_turn']

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


def check_several(hook: 'WeakTeacherDistillHook',
                  hooks: Sequence['WeakTeacherDistillHook']) -> None:
    """Refuse hooks that would mix up their records, or what they teach.

    Args:
        hook (WeakTeacherDistillHook): The hook that is looked at.
        hooks (Sequence[WeakTeacherDistillHook]): All of its run, in the order
            in which they are called.

    Raises:
        ValueError: The message names the field to change.
    """
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
            f'{_HOOK}.after of {name!r} should name a hook that is called '
            f'before it ({", ".join(before) or "none is"}; by priority, then '
            f'as in the config), but is {after!r}')
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


def warn_of_no_turn(runner: Runner, hook: 'WeakTeacherDistillHook',
                    before: 'WeakTeacherDistillHook') -> None:
    """Warn of a teacher whose turn may come only when it has ended itself.

    Args:
        runner (Runner): The run, about to train.
        hook (WeakTeacherDistillHook): One that waits.
        before (WeakTeacherDistillHook): The one that it waits for.
    """
    if not (hook.session.is_open and before.session.is_open):
        return
    own, other = (one.session.ends_by(runner) for one in (hook, before))
    if other >= own:
        print_log(
            f'{hook.fields.name} waits for {before.fields.name}, which may be '
            f'on until iteration {other}, and ends by iteration {own} itself, '
            'so it may never teach: give it a later schedule and stop, or '
            f'{before.fields.name} earlier ones.',
            logger='current',
            level=logging.WARNING)


def forget_absent(runner: Runner, names: Sequence[str]) -> None:
    """Forget teachers that a resumed run had before, and has no more.

    Their scalars would stay in the log with their last values, and their
    records would say that they still teach. These are renamed.

    Args:
        runner (Runner): The resumed run.
        names (Sequence[str]): Names of the hooks that it has.
    """
    hub = runner.message_hub
    for key in list(hub.log_scalars):
        further = re.match(f'train/(?:{PREFIX})?({FIRST}_[^/]+)/', key)
        if further and further.group(1) not in names:
            LoggedScalars(further.group(1)).drop(hub)
    absent = [
        osp.basename(path)
        for name, path in further_records(runner.work_dir).items()
        if name not in names
    ]
    if absent and is_main_process():
        moved = set_aside(runner.work_dir, absent)
        print_log(
            'The run was resumed without teachers that it had; their records '
            f'were renamed: {", ".join(moved)}',
            logger='current')
