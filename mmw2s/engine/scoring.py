# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Score the teacher by the run's own validation, once before training."""
import copy
import io
import logging
import time
from contextlib import contextmanager, redirect_stdout
from typing import Callable, Dict, Iterator, List, Optional, Tuple

import torch
from mmengine.dist import (broadcast_object_list, get_world_size,
                           is_main_process)
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger, print_log
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmw2s.distillation.teacher import FrozenTeacher
from mmw2s.distillation.teacher_outputs import teacher_named
from mmw2s.records.files import scalar_metrics
from mmw2s.utils.rng import preserved_rng
from .score_cache import cache_path, read_score, write_score

__all__ = ['score_teacher']

Check = Callable[[List[str]], None]


def score_teacher(teacher: FrozenTeacher,
                  runner: Runner,
                  check: Check = lambda names: None
                  ) -> Tuple[Dict[str, Optional[float]], float]:
    """Score the teacher by all metrics of the run's validation.

    The scoring uses a copy of the run's evaluator, a validation loader of its
    own and the teacher's preprocessor, and none of the runner's hooks. So it
    has no effect on the run. The result is cached in ``$MMW2S_CACHE`` (by
    default ``~/.cache/mmw2s``), see
    :func:`~mmw2s.engine.score_cache.cache_path`, for further seeds and
    resumed runs.

    Args:
        teacher (FrozenTeacher): The teacher, on its device.
        runner (Runner): The run; its validation loop is built.
        check (Callable): Called with the names of the metrics after the first
            batch. It may raise before the rest is computed.

    Returns:
        Tuple[dict[str, float], float]: Metric -> score, and the time of the
        scoring in seconds (0 if the scores are from the cache).

    Raises:
        ValueError: If the evaluator cannot score the teacher.
        RuntimeError: If another process of the run died meanwhile.
    """
    began = time.perf_counter()
    path = cache_path(teacher, runner) if is_main_process() else None
    found = [read_score(path) if path is not None else None]
    broadcast_object_list(found)
    if found[0] is not None:
        print_log(
            f'Teacher {teacher.name}: its score is known from before ({path})',
            logger='current')
        return found[0], 0.
    print_log(
        f'Teacher {teacher.name}: scoring it once on the validation set',
        logger='current')
    with preserved_rng():
        metrics = _measure(teacher, runner, check)
    if path is not None:
        write_score(path, metrics)
    return metrics, time.perf_counter() - began


@torch.no_grad()
def _measure(teacher: FrozenTeacher, runner: Runner,
             check: Check) -> Dict[str, Optional[float]]:
    loader = _own_loader(runner)
    evaluator = _own_evaluator(runner)
    # The same on every rank, because all have to reach the broadcast below.
    has_more = len(loader.dataset) >= 2 * get_world_size() * (
        loader.batch_size or 1)
    with torch.autocast(teacher.device.type, enabled=False):
        for i, batch in enumerate(loader):
            with teacher_named(teacher):
                outputs = teacher.predict(batch)
            with _evaluator_named(teacher):
                evaluator.process(data_samples=outputs, data_batch=batch)
            if i == 0 and has_more:
                names = [_names_so_far(evaluator)]
                broadcast_object_list(names)
                if names[0]:
                    check(names[0])
    with _evaluator_named(teacher):
        metrics = evaluator.evaluate(len(loader.dataset))
    return scalar_metrics(metrics or {})


def _own_evaluator(runner: Runner) -> Evaluator:
    evaluator, cfg = runner.val_loop.evaluator, runner._val_evaluator
    if not _has_folder(evaluator) or not isinstance(cfg, (dict, list)):
        return copy.deepcopy(evaluator)
    own = runner.build_evaluator(copy.deepcopy(cfg))
    own.dataset_meta = evaluator.dataset_meta
    return own


def _has_folder(evaluator: Evaluator) -> bool:
    # When Python deletes such a metric, for instance mmdet's panoptic one, it
    # removes its folder. A copy would remove the folder of the original.
    return any(
        getattr(metric, 'tmp_dir', None) is not None
        for metric in getattr(evaluator, 'metrics', ()))


def _names_so_far(evaluator: Evaluator) -> List[str]:
    """Names of the metrics, computed from the first batch.

    Empty if an evaluator needs more than one batch, or names metrics in a way
    of its own. ``evaluate`` would wait for the other processes, so
    ``compute_metrics`` is called instead.
    """
    if not is_main_process() or _has_folder(evaluator) or \
            type(evaluator).evaluate is not Evaluator.evaluate:
        return []
    trial, names = copy.deepcopy(evaluator), []
    # The scores mean nothing, so their logging is disabled. MMEngine's loggers
    # cache whether they are enabled, so they are disabled in addition.
    logger = MMLogger.get_current_instance()
    before = logger.disabled, logging.root.manager.disable
    logger.disabled = True
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()):
            for metric in trial.metrics:
                found = metric.compute_metrics(metric.results)
                prefix = f'{metric.prefix}/' if metric.prefix else ''
                names += [prefix + name for name in scalar_metrics(found)]
    except Exception:
        return []
    finally:
        logger.disabled = before[0]
        logging.disable(before[1])
    return names


@contextmanager
def _evaluator_named(teacher: FrozenTeacher) -> Iterator[None]:
    """Replace an evaluator's error by a message that says what to do."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        told = f'({type(error).__name__}: {error})'
        if _is_of_processes(error):
            raise RuntimeError(
                'the scoring of the teacher was cut off, because the '
                f'processes of the run lost each other {told}: the output of '
                'the one that ended first says why') from error
        begin = f'the run\'s evaluator cannot score the teacher {teacher.name}'
        instead = ('Give its score, stop=dict(type="SurpassTeacher", '
                   'metric=..., teacher_score=<number>), or use '
                   'stop=dict(type="At", ...)')
        if isinstance(error, OSError):
            raise ValueError(
                f'{begin}: a file could not be read or written {told}. Check '
                'val_evaluator\'s files, and the disk') from error
        if isinstance(error, (AttributeError, KeyError)):
            raise ValueError(
                f'{begin} {told}: does the teacher predict all that is '
                f'evaluated, such as masks? {instead}') from error
        raise ValueError(
            f'{begin} {told}. If it fails for the student too, which '
            'tools/test.py tells, the evaluator or the validation set is '
            f'wrong. {instead}') from error


def _is_of_processes(error: Exception) -> bool:
    """Whether a collective call failed, for instance after a rank died."""
    if isinstance(error, torch.distributed.DistError):
        return True
    # gloo raises a bare RuntimeError.
    return get_world_size() > 1 and isinstance(error, RuntimeError) and any(
        word in str(error).lower()
        for word in ('gloo', 'nccl', 'connection', 'timed out', 'peer',
                     'socket', 'broken pipe', 'rank'))


def _own_loader(runner: Runner) -> DataLoader:
    # The run's own loader draws a seed at its first use, which would come
    # earlier than in a run without a teacher. Also, its workers would stay.
    given = runner._val_dataloader
    if isinstance(given, dict):
        cfg = copy.deepcopy(given)
        cfg['persistent_workers'] = False
        return runner.build_dataloader(cfg, seed=runner.seed)
    return DataLoader(
        given.dataset,
        batch_size=given.batch_size,
        sampler=given.sampler,
        num_workers=given.num_workers,
        collate_fn=given.collate_fn)
