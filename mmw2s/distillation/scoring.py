# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Scoring the teacher, once, as the run scores its student."""
import copy
import hashlib
import json
import logging
import os
import os.path as osp
import time
from typing import Any, Dict, Iterator, Optional, Tuple

import torch
from mmengine.config import Config
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmw2s.analysis.record import scalar_metrics
from mmw2s.cache import cache_folder, weights_hash
from .rng import preserved_rng
from .teacher import FrozenTeacher
from .teacher_view import teacher_named

__all__ = ['score_teacher']


def score_teacher(teacher: FrozenTeacher,
                  runner: Runner) -> Tuple[Dict[str, float], float]:
    """Every metric that the run's validation gives for the teacher.

    It is measured with a copy of the run's evaluator, a validation loader of
    its own and the teacher's own preprocessor, outside the runner's hooks, so
    that the run itself goes on as if nothing had happened. The result is
    cached under a hash of the teacher, the data and the evaluator in
    ``$MMW2S_CACHE`` (by default ``~/.cache/mmw2s``), so that further seeds and
    resumed runs do not pay for it.

    Args:
        teacher (FrozenTeacher): On the device that it is to run on.
        runner (Runner): With its validation loop built.

    Returns:
        Tuple[dict[str, float], float]: The metrics, and the seconds that the
        measurement took (0 where it came from the cache).
    """
    began = time.perf_counter()
    path = _cache_path(teacher, runner) if is_main_process() else None
    found = [_read(path)]
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
        metrics = _measure(teacher, runner)
    if path is not None:
        _write(path, metrics)
    return metrics, time.perf_counter() - began


@torch.no_grad()
def _measure(teacher: FrozenTeacher, runner: Runner) -> Dict[str, float]:
    loader = _own_loader(runner)
    evaluator = copy.deepcopy(runner.val_loop.evaluator)
    device = next(iter(teacher.model.parameters())).device
    with torch.autocast(device.type, enabled=False):
        for batch in loader:
            with teacher_named(teacher):
                outputs = teacher.model.val_step(batch)
            evaluator.process(data_samples=outputs, data_batch=batch)
    try:
        metrics = evaluator.evaluate(len(loader.dataset))
    except Exception as error:
        raise ValueError(
            f'the run\'s evaluator cannot score the teacher {teacher.name} '
            f'({type(error).__name__}: {error}): does the teacher predict all '
            'that is evaluated, such as masks? Give its score, '
            'stop=dict(type="SurpassTeacher", metric=..., teacher_score='
            '<number>), or use stop=dict(type="At", ...)') from error
    return scalar_metrics(metrics)


def _own_loader(runner: Runner) -> DataLoader:
    # The run's own loader would draw its seed from the random state earlier
    # than in a run without a teacher, and its workers would outlive us.
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


def _read(path: Optional[str]) -> Optional[Dict[str, float]]:
    if path is None or not osp.exists(path):
        return None
    with open(path) as file:
        return json.load(file)


def _write(path: str, metrics: Dict[str, float]) -> None:
    try:
        os.makedirs(osp.dirname(path), exist_ok=True)
        with open(f'{path}.{os.getpid()}', 'w') as file:
            json.dump(metrics, file)
        os.replace(f'{path}.{os.getpid()}', path)
    except OSError as error:  # no reason to end the run
        print_log(
            f'The teacher\'s score could not be kept for later runs '
            f'({error}); $MMW2S_CACHE names another folder',
            logger='current',
            level=logging.WARNING)


def _cache_path(teacher: FrozenTeacher, runner: Runner) -> Optional[str]:
    """Where the score belongs; None where the data cannot be told apart."""
    configs = [runner._val_dataloader, runner.cfg.get('val_evaluator')]
    if not all(isinstance(cfg, (dict, list)) for cfg in configs):
        return None
    digest = hashlib.sha256()
    # mmpretrain's configs keep the preprocessor beside the model.
    described = Config(
        dict(
            model=teacher.cfg.model.to_dict(),
            preprocessor=teacher.cfg.get('data_preprocessor'),
            # As they are given, by name where the student's are others.
            classes=teacher.classes,
            # Who normalises its images, where not the preprocessor.
            pipelines=repr(teacher.pipelines.in_validation()),
            data=copy.deepcopy(configs)))
    digest.update(
        json.dumps(described.to_dict(), sort_keys=True, default=str).encode())
    for path in _annotation_files(configs):
        with open(path, 'rb') as file:
            digest.update(file.read())
    digest.update(str(len(runner.val_dataloader.dataset)).encode())
    digest.update(weights_hash(teacher.model).encode())
    return osp.join(
        cache_folder('teacher_scores'), f'{digest.hexdigest()[:32]}.json')


def _annotation_files(cfg: Any, root: str = '') -> Iterator[str]:
    """The files that any ``ann_file`` in a nested config names."""
    if isinstance(cfg, (list, tuple)):
        for item in cfg:
            yield from _annotation_files(item, root)
    elif isinstance(cfg, dict):
        root = cfg.get('data_root') or root
        for key, value in cfg.items():
            if key == 'ann_file' and isinstance(value, str):
                for path in (osp.join(root, value), value):
                    if osp.isfile(path):
                        yield path
                        break
            else:
                yield from _annotation_files(value, root)
