# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from mmengine.hooks import Hook
from mmengine.runner import Runner

__all__ = ['refuse_another']


def refuse_another(runner: Runner, hook: Hook) -> None:
    """Refuse a run with two hooks of the same class.

    Their records would get mixed up.

    Raises:
        ValueError: If the run has another hook of the class of ``hook``.
    """
    kind = type(hook)
    if sum(isinstance(other, kind) for other in runner.hooks) > 1:
        raise ValueError(
            f'the run has more than one {kind.__name__} (look at custom_hooks '
            'and default_hooks): keep one')
