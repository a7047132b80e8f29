# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Which start a student can begin with."""
import tempfile
from typing import Optional, Tuple

from mmengine.config import Config

from mmw2s.distillation.teacher import FrozenTeacher
from mmw2s.distillation.teacher_config import build_model
from mmw2s.registry import STARTS
from .teacher import untrained

__all__ = ['AUTO', 'choose_start']

#: ``--start`` for the first of these that applies.
AUTO = 'auto'
_IN_TURN = ('Inherit', 'Grow')


def choose_start(wanted: str, student: Config,
                 teacher: Config) -> Tuple[Optional[dict], str]:
    """Find a start that fits two models, by trying it.

    Args:
        wanted (str): Type of a start, ``'none'``, or ``'auto'``: ``Inherit``
            where the student can take over anything, else ``Grow``, else
            none.
        student (Config): Config of the student.
        teacher (Config): Config of the teacher.

    Returns:
        Tuple[dict | None, str]: The hook's field ``start``, and a sentence.

    Raises:
        ValueError: If the start that was named does not fit.
    """
    if wanted == 'none':
        return None, 'The student starts as its run initializes it.'
    refused = []
    with tempfile.TemporaryDirectory() as folder:
        frozen = FrozenTeacher(**untrained(teacher, folder))
        for kind in _IN_TURN if wanted == AUTO else (wanted, ):
            try:
                started = STARTS.build(dict(type=kind)).apply(
                    build_model(student), frozen, None)
            except ValueError as error:
                if wanted != AUTO:
                    raise
                refused.append(str(error))
            else:
                return dict(type=kind), (
                    f'The student starts by {kind}: {started.share:.1%} of '
                    'its parameters begin as the teacher\'s.')
    return None, 'No start fits the two models: ' + ' '.join(refused)
