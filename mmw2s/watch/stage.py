# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What is shown: stages of a piece of work, each with the run it trains."""
from typing import NamedTuple, Optional

from .progress import RunProgress

__all__ = ['ENDED', 'Row', 'Stage']

#: States in which nothing more happens.
ENDED = ('finished', 'failed')
_STATES = {
    'waiting': 'waiting',
    'running': 'running',
    'done': 'finished',
    'failed': 'failed'
}


class Stage(NamedTuple):
    """A part of a piece of work, such as the training of the teacher.

    Attributes:
        name (str): What it is called.
        state (str, optional): 'waiting', 'running', 'done' or 'failed', by
            whoever runs it. Defaults to None: as its files tell.
        work_dir (str, optional): The work_dir of the run that it trains.
            Defaults to None: it trains none.
        expected_seconds (float, optional): What it is expected to take.
            Defaults to None: that is not known.
    """
    name: str
    state: Optional[str] = None
    work_dir: Optional[str] = None
    expected_seconds: Optional[float] = None


class Row(NamedTuple):
    """A stage together with what its files tell.

    Attributes:
        name (str): The name of the stage.
        state (str): One of :class:`~mmw2s.watch.RunProgress`.
        run (RunProgress, optional): None if the stage trains nothing.
        eta (float, optional): Seconds from now, or from its start while it is
            waiting, to its end; None if they cannot be told.
    """
    name: str
    state: str
    run: Optional[RunProgress]
    eta: Optional[float]

    @classmethod
    def of(cls, stage: Stage, earlier: Optional['Row'] = None) -> 'Row':
        """Read the files of a stage.

        Args:
            stage (Stage): The stage.
            earlier (Row, optional): What was read before. Defaults to None.

        Raises:
            ValueError: If the stage has a state that there is not.
        """
        if stage.state not in (None, *_STATES):
            raise ValueError(
                f'the state of the stage "{stage.name}" should be one of '
                f'{", ".join(_STATES)} or None, but is {stage.state!r}')
        run = None
        if stage.work_dir is not None:
            run = RunProgress.read(stage.work_dir, earlier and earlier.run)
        state = _STATES[stage.state] if stage.state else \
            run.state if run else 'waiting'
        if stage.state == 'running' and run and run.state == 'stalled':
            state = 'stalled'
        eta = stage.expected_seconds if state == 'waiting' else None
        if state == 'running':
            eta = run.eta if run else stage.expected_seconds
            if eta is None:
                eta = stage.expected_seconds
        return cls(stage.name, state, run, eta)
