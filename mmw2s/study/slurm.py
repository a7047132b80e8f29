# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Runs stages as jobs of Slurm, by the package submitit."""
import signal
from typing import Any, Dict, List, Optional

from mmw2s.pair.stages import (Launch, SignalRelay, Stage, begin,
                               own_environment)
from mmw2s.utils.versions import require
from .workers import Job

__all__ = ['SlurmWorkers']


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
        self._process = begin(self.stage, self.command, own_environment())
        return self._process.wait()

    def checkpoint(self, *args: Any) -> Any:
        """Called by submitit where the job is preempted or out of time: the
        run ends with a checkpoint, and a new job goes on with it."""
        from submitit.helpers import DelayedSubmission
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        return DelayedSubmission(Training(self.stage, self.command))


class _SlurmJob(Job):

    def __init__(self, job: Any) -> None:
        self._job = job

    def poll(self) -> Optional[int]:
        if not self._job.done():
            return None
        # One that was cancelled or lost has no result.
        failed = self._job.exception() is not None
        return 1 if failed else self._job.result()

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
        self._executor = submitit.AutoExecutor(folder, cluster=cluster)
        self._executor.update_parameters(**parameters)

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
