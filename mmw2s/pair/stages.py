# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The stages of a pair: ordinary runs of ``tools/train.py``."""
import os
import os.path as osp
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from typing import (Any, Callable, Dict, Iterator, List, NamedTuple, Optional,
                    Tuple)

import mmw2s
from mmw2s.configs_path import tools_root
from mmw2s.engine.hooks.stop_on_signal_hook import RunEnded
from mmw2s.records.files import FILENAME, read_record
from mmw2s.records.lock import holder

__all__ = [
    'Launch', 'SignalRelay', 'Stage', 'StageFailed', 'Supervisor', 'begin',
    'end_of_log', 'own_environment'
]

_LOG = 'train.log'
_TAIL = 15  # lines of the log of a stage that failed


class StageFailed(RuntimeError):
    """A stage has ended without being finished."""


class Stage(NamedTuple):
    """One training.

    What has become of it follows from its work_dir alone.

    Attributes:
        name (str): Its name.
        config (str): Path of its config.
        work_dir (str): Its work_dir.
        seed (int, optional): Its seed; None for that in its config.
        options (Tuple[str]): Further arguments of ``train.py``.
    """
    name: str
    config: str
    work_dir: str
    seed: Optional[int] = None
    options: Tuple[str, ...] = ()

    @property
    def log(self) -> str:
        """The file with the output of all its processes, one after another."""
        return osp.join(self.work_dir, _LOG)

    @property
    def record(self) -> dict:
        """What ``TimeToTargetHook`` has written; empty if nothing yet."""
        path = osp.join(self.work_dir, FILENAME)
        return read_record(path) if osp.exists(path) else {}

    @property
    def is_done(self) -> bool:
        """Whether its training has come to its end."""
        return bool(self.record.get('finished'))


class Launch(NamedTuple):
    """How the processes of a stage are started.

    Attributes:
        launcher (str): ``'none'``, ``'pytorch'`` or ``'slurm'``.
        gpus (int): Number of processes.
        partition (str, optional): Slurm's.
    """
    launcher: str = 'none'
    gpus: int = 1
    partition: Optional[str] = None

    def command(self, stage: Stage, cfg_options: Dict[str, Any]) -> List[str]:
        """The command that begins a stage, or goes on with it.

        Args:
            stage (Stage): The stage.
            cfg_options (dict): Dotted keys -> values, in its config.
        """
        given = ['--resume', 'auto', *stage.options]
        if stage.seed is not None:
            cfg_options = {'randomness.seed': stage.seed, **cfg_options}
        if cfg_options:
            given += ['--cfg-options']
            given += [f'{key}={value}' for key, value in cfg_options.items()]
        own = ['--work-dir', stage.work_dir]
        if self.launcher == 'pytorch':
            return [
                'bash',
                str(tools_root() / 'dist_train.sh'), stage.config,
                str(self.gpus), *own, *given
            ]
        if self.launcher == 'slurm':
            return [
                'bash',
                str(tools_root() / 'slurm_train.sh'),
                str(self.partition), stage.name, stage.config, stage.work_dir,
                *given
            ]
        return [
            sys.executable,
            str(tools_root() / 'train.py'), stage.config, *own, *given
        ]

    def environment(self) -> Dict[str, str]:
        """The environment of that command."""
        own = dict(own_environment(), PYTHON=sys.executable)
        if self.launcher == 'slurm':
            own['GPUS'] = str(self.gpus)
            own.setdefault('GPUS_PER_NODE', str(min(self.gpus, 8)))
        return own


def own_environment() -> Dict[str, str]:
    """The environment in which a child takes the same copy of mmw2s."""
    paths = [osp.dirname(osp.dirname(mmw2s.__file__))]
    paths += filter(None, [os.environ.get('PYTHONPATH')])
    return dict(os.environ, PYTHONPATH=os.pathsep.join(paths))


class SignalRelay:
    """Hands Ctrl-C and SIGTERM on to processes that train, as SIGTERM.

    They then end after their step, with a checkpoint.

    Attributes:
        processes (list): Those that run.
        received (int, optional): The signal that has come.
    """

    def __init__(self) -> None:
        self.processes: List[subprocess.Popen] = []
        self.received: Optional[int] = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Handle signals within the block.

        Raises:
            RunEnded: At a signal, if no process runs.
        """
        before = {
            number: signal.signal(number, self._receive)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _receive(self, number: int, frame: Any) -> None:
        self.received = number
        if not self.processes:
            raise RunEnded(number)
        for process in self.processes:
            process.send_signal(signal.SIGTERM)


def begin(stage: Stage,
          command: List[str],
          environment: Dict[str, str],
          ignored: Optional[int] = None) -> subprocess.Popen:
    """Begin the process of a stage; its output goes to the stage's log.

    Args:
        stage (Stage): The stage; its work_dir exists.
        command (list[str]): What is run.
        environment (dict): Of the process.
        ignored (int, optional): A signal that the process, and those that it
            begins, ignore. Defaults to none.
    """
    ignore = ignored and partial(signal.signal, ignored, signal.SIG_IGN)
    with open(stage.log, 'ab') as log:
        # A session of its own, or the terminal would send Ctrl-C to the run
        # too, which then would not end with a checkpoint.
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            preexec_fn=ignore,
            start_new_session=True)


class Supervisor(SignalRelay):
    """Runs one stage after another, each in processes of its own.

    After a signal :class:`RunEnded` is raised once the stage has ended.

    Args:
        launch (Launch): How stages are started.
        look (Callable): Called every few seconds with the stage that runs, or
            None, and that has failed, or None.
        every (float): These seconds. Defaults to 2.
    """

    def __init__(self,
                 launch: Launch,
                 look: Callable[[Optional[Stage], Optional[Stage]], None],
                 every: float = 2.) -> None:
        super().__init__()
        self.launch, self._look, self._every = launch, look, every

    def run(self, stage: Stage, cfg_options: Dict[str, Any]) -> None:
        """Train a stage to its end, unless it is there already.

        Args:
            stage (Stage): The stage.
            cfg_options (dict): Dotted keys -> values, in its config.

        Raises:
            RunEnded: If a signal has ended it.
            StageFailed: If it has ended without being finished. The message
                has the end of its log.
        """
        os.makedirs(stage.work_dir, exist_ok=True)
        # The run of an earlier call that was killed may have outlived it.
        while holder(stage.work_dir) is not None:
            self._look(stage, None)
            time.sleep(self._every)
        if stage.is_done:
            return
        code = self._train(stage, self.launch.command(stage, cfg_options))
        if self.received is not None:
            raise RunEnded(self.received)
        if code or not stage.is_done:
            self._look(None, stage)
            raise StageFailed(
                f'the stage {stage.name} has failed, with the exit code '
                f'{code}. The end of {stage.log}:\n{end_of_log(stage)}\n'
                'The same command goes on from there')
        self._look(None, None)

    def _train(self, stage: Stage, command: List[str]) -> int:
        process = begin(stage, command, self.launch.environment())
        self.processes.append(process)
        try:
            while True:
                self._look(stage, None)
                try:
                    return process.wait(self._every)
                except subprocess.TimeoutExpired:
                    pass
        finally:
            self.processes.remove(process)


def end_of_log(stage: Stage) -> str:
    """The last lines of the log of a stage, indented."""
    with open(stage.log, encoding='utf-8', errors='replace') as file:
        lines = [line.rstrip() for line in file if line.strip()]
    return '\n'.join(f'  {line}' for line in lines[-_TAIL:])
