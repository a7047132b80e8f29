# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Runs stages as jobs of Slurm, by the package submitit."""
import os
import re
import signal
import subprocess
from threading import Thread
from typing import Any, Dict, List, Optional

from mmw2s.engine.hooks.stop_on_signal_hook import RunEnded
from mmw2s.pair.stages import (Launch, SignalRelay, Stage, begin,
                               own_environment)
from mmw2s.utils.versions import require
from .workers import Job

__all__ = ['SlurmWorkers']

# That which submitit asks Slurm for before a job is preempted or out of time.
_SIGNAL = getattr(signal,
                  'SIG' + os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2'))
# Exit codes of a training that got a SIGTERM: later, and before it began.
_TOLD_TO_END = RunEnded(signal.SIGTERM).code, -signal.SIGTERM
_TIMES = 100  # that a job is submitted again, at most


class Training:
    """What a job does: it trains a stage, from where it has come to.

    Args:
        stage (Stage): The stage.
        command (list[str]): The command that trains it.
    """

    def __init__(self, stage: Stage, command: List[str]) -> None:
        self.stage, self.command = stage, command
        self._process: Any = None

    def __call__(self) -> int:
        # Slurm sends submitit's signal to each process of the job. This one
        # hears of it by `checkpoint`, which tells the training.
        self._process = begin(
            self.stage, self.command, own_environment(), ignored=_SIGNAL)
        # `checkpoint` interrupts this thread, and waits too: two calls of
        # `wait` in one thread would wait for each other.
        waiting = Thread(target=self._process.wait)
        waiting.start()
        waiting.join()
        if self._process.returncode in _TOLD_TO_END and _is_preempted():
            # Where Slurm sends SIGTERM instead of submitit's signal.
            signal.raise_signal(_SIGNAL)
        return self._process.returncode

    def checkpoint(self, *args: Any) -> Any:
        """Called by submitit where the job is preempted or out of time: the
        run ends with a checkpoint, and a new job goes on with it."""
        from submitit.helpers import DelayedSubmission
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()
        return DelayedSubmission(Training(self.stage, self.command))


def _is_preempted() -> bool:
    """Whether Slurm takes this job's place for another one."""
    number = os.environ.get('SLURM_JOB_ID')
    if number is None:
        return False
    shown = subprocess.run(['scontrol', 'show', 'job', '-o', number],
                           capture_output=True,
                           text=True).stdout
    when = re.search(r'\bPreemptTime=(\S+)', shown)
    return when is not None and when[1] not in ('None', 'Unknown')


class _SlurmJob(Job):

    def __init__(self, job: Any) -> None:
        self._job = job

    def poll(self) -> Optional[int]:
        if not self._job.done():
            return None
        # One that was cancelled or lost has no result.
        failed = self._job.exception() is not None
        return 1 if failed else self._job.result()

    def why(self) -> str:
        error = self._job.exception() if self._job.done() else None
        return '' if error is None else f' ({error})'

    def send_signal(self, number: int) -> None:
        """Cancel the job, which Slurm does with a SIGTERM."""
        self._job.cancel()


class SlurmWorkers(SignalRelay):
    """Jobs of Slurm, one for each run.

    Args:
        folder (str): Where submitit keeps its files.
        jobs (int): How many are in the queue at most. Defaults to 64.
        cluster (str): ``'slurm'``, or ``'local'`` for processes on this
            machine. Defaults to ``'slurm'``.
        **parameters: Of submitit's ``update_parameters``, such as
            ``timeout_min=600`` or ``slurm_partition='gpu'``.

    Raises:
        ImportError: If submitit is not installed.
        ValueError: If a parameter is unknown or wrong.
    """

    def __init__(self,
                 folder: str,
                 jobs: int = 64,
                 cluster: str = 'slurm',
                 **parameters: Any) -> None:
        super().__init__()
        require('submitit', 'study', '--launcher slurm')
        import submitit
        self.jobs = jobs
        # A long training is out of time many times, and goes on each time.
        self._executor = submitit.AutoExecutor(
            folder, cluster=cluster, slurm_max_num_timeout=_TIMES)
        if not {'timeout_min', 'slurm_time'} & {*parameters}:
            raise ValueError('--launcher slurm needs --slurm '
                             'timeout_min=MINUTES, of a job: without it '
                             'submitit asks for 5 minutes')
        try:
            self._executor.update_parameters(**parameters)
        except (AssertionError, NameError, TypeError) as error:
            raise ValueError(f'submitit takes no such parameters of --slurm: '
                             f'{error}') from error

    def begin(self, stage: Stage, cfg_options: Dict[str, Any]) -> Job:
        """Submit a job."""
        self._executor.update_parameters(name=stage.name)
        job = _SlurmJob(
            self._executor.submit(
                Training(stage,
                         Launch().command(stage, cfg_options))))
        self.processes.append(job)  # type: ignore[arg-type]
        return job

    def ended(self, job: Job) -> None:
        """Forget a job."""
        self.processes.remove(job)  # type: ignore[arg-type]
