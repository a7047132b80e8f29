# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Runs several stages at a time, on this machine or by Slurm."""
import os
import os.path as osp
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

import torch

from mmw2s.engine.hooks.stop_on_signal_hook import RunEnded
from mmw2s.pair.stages import (Launch, SignalRelay, Stage, begin, end_of_log,
                               own_environment)
from mmw2s.records.lock import holder

__all__ = ['Job', 'LocalWorkers', 'Task', 'run_tasks']


class Task(NamedTuple):
    """A stage that is to be run.

    Attributes:
        stage (Stage): The stage.
        after (Sequence[Stage]): Those that have to be finished before.
        prepare (Callable): Called when these are; gives further options of
            its config, by dotted key. It may raise a ValueError or
            FileNotFoundError: then the stage does not begin.
    """
    stage: Stage
    after: Sequence[Stage] = ()
    prepare: Callable[[], Dict[str, Any]] = dict


class Job:
    """A task that has begun."""

    def poll(self) -> Optional[int]:
        """Its exit code; None while it runs."""
        raise NotImplementedError

    def why(self) -> str:
        """What is known of a failure beside code and log, else ''."""
        return ''


class _Process(Job):

    def __init__(self, process, slot: int) -> None:
        self.process, self.slot = process, slot

    def poll(self) -> Optional[int]:
        return self.process.poll()


class LocalWorkers(SignalRelay):
    """Processes on this machine, so many at a time.

    Where there are GPUs, each gets one of them by ``CUDA_VISIBLE_DEVICES``,
    in turn.

    Args:
        jobs (int): How many. Defaults to 1.
    """

    def __init__(self, jobs: int = 1) -> None:
        super().__init__()
        self.jobs = jobs
        self._free = list(range(jobs))
        self._devices = _devices()

    def begin(self, stage: Stage, cfg_options: Dict[str, Any]) -> Job:
        """Begin a stage, in a slot that is free."""
        slot = self._free.pop(0)
        environment = own_environment()
        if self._devices:
            environment['CUDA_VISIBLE_DEVICES'] = \
                self._devices[slot % len(self._devices)]
        process = begin(stage,
                        Launch().command(stage, cfg_options), environment)
        self.processes.append(process)
        return _Process(process, slot)

    def ended(self, job: Job) -> None:
        """Free the slot of a job."""
        self.processes.remove(job.process)
        self._free.append(job.slot)


def _devices() -> List[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` has
    them."""
    given = os.environ.get('CUDA_VISIBLE_DEVICES')
    if given is not None:
        return [name.strip() for name in given.split(',') if name.strip()]
    return [str(i) for i in range(torch.cuda.device_count())]


def run_tasks(workers: Any,
              tasks: Sequence[Task],
              look: Callable[[Sequence[Stage]], None],
              every: float = 2.) -> Dict[str, str]:
    """Run tasks to their ends, as many at a time as there are workers.

    What is done already is not run again. A task that fails stops only those
    that come after it.

    Args:
        workers (LocalWorkers or SlurmWorkers): Where they run.
        tasks (Sequence[Task]): In their order.
        look (Callable): Called every few seconds with the stages that run.
        every (float): These seconds. Defaults to 2.

    Returns:
        dict[str, str]: Name of a stage that has failed, or has not begun ->
        why; of the former with the end of its log.

    Raises:
        RunEnded: If a signal has come to the workers. Runs on this machine
            have ended with a checkpoint by then.
    """
    waiting = [task for task in tasks if not task.stage.is_done]
    running: Dict[str, Any] = {}
    failed: Dict[str, str] = {}
    while waiting or running:
        for name, (task, job) in list(running.items()):
            code = job.poll()
            if code is None:
                continue
            workers.ended(job)
            del running[name]
            if (code or not task.stage.is_done) and \
                    workers.received is None:
                failed[name] = f'exit code {code}{job.why()}; ' + (
                    f'the end of {task.stage.log}:\n{end_of_log(task.stage)}'
                    if osp.isfile(task.stage.log) else 'it has no log')
        if workers.received is not None:
            waiting = []
        for task in list(waiting):
            if len(running) >= workers.jobs:
                break
            unfinished = {*running, *(other.stage.name for other in waiting)}
            if any(stage.name in unfinished for stage in task.after):
                continue
            # A run of an earlier call that was killed may outlive it.
            if holder(task.stage.work_dir) is not None:
                continue
            waiting.remove(task)
            if task.stage.is_done:
                continue
            name = task.stage.name
            try:
                options = _prepared(task)
            except (FileNotFoundError, ValueError) as error:
                failed[name] = f'it has not begun: {error}'
                continue
            os.makedirs(task.stage.work_dir, exist_ok=True)
            try:
                running[name] = task, workers.begin(task.stage, options)
            except RuntimeError as error:  # Slurm takes no job, or not now
                failed[name] = f'it has not begun: {error}'
        look([task.stage for task, _ in running.values()])
        if waiting or running:
            time.sleep(every)
    if workers.received is not None:
        raise RunEnded(workers.received)
    return failed


def _prepared(task: Task) -> Dict[str, Any]:
    missing = [stage.name for stage in task.after if not stage.is_done]
    if missing:
        raise ValueError(f'{", ".join(missing)} should be finished before, '
                         'and did not finish or was not asked for')
    return task.prepare()
