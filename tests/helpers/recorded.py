# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Hand-made runs whose answers can be told in one's head."""
import json
import os
from pathlib import Path

import torch

METRIC = 'coco/bbox_mAP'


def write_run(folder,
              scores,
              seconds=10.,
              validation=2.,
              seed=0,
              world_size=1,
              metric=METRIC,
              stop_epoch=None,
              teacher=None,
              finished=True,
              iters=100,
              scoring=0.,
              **facts) -> str:
    """A run of one validation an epoch.

    Args:
        folder (Path): Its work_dir.
        scores (list): The metric after each epoch, None for no metric, a dict
            for several.
        seconds (float): What an epoch's training takes.
        validation (float): What a validation takes.
        iters (int): Iterations of an epoch.
        scoring (float): What it took to score the teacher, before training.
    """
    os.makedirs(folder, exist_ok=True)
    history = [
        dict(
            epoch=float(epoch),
            iter=iters * epoch,
            samples=8 * iters * epoch,
            train_seconds=seconds * epoch,
            wall_seconds=(seconds + validation) * epoch + scoring,
            metrics={} if score is None else
            score if isinstance(score, dict) else {metric: score})
        for epoch, score in enumerate(scores, 1)
    ]
    run = dict(
        seed=seed,
        world_size=world_size,
        batch_size_per_device=8,
        devices=['cpu'] * world_size,
        versions=dict(torch='2.0'),
        **facts)
    with open(folder / 'time_to_target.json', 'w') as f:
        json.dump(
            dict(
                schema_version=1,
                run=run,
                history=history,
                targets=[],
                finished=finished), f)
    events = []
    if teacher is not None:
        events.append(
            dict(
                event='teacher',
                iter=0,
                metrics={metric: teacher},
                metric=metric,
                score=teacher,
                seconds=scoring or 1.))
    if stop_epoch is not None:
        events.append(
            dict(
                event='stop',
                iter=iters * stop_epoch,
                epoch=float(stop_epoch),
                reason='surpassed',
                student=.3,
                teacher=teacher))
    if events:
        with open(folder / 'w2s_record.jsonl', 'w') as f:
            f.write('{"event": "of a later version", "x": 1}\n')
            f.writelines(json.dumps(event) + '\n' for event in events)
            f.write('{"event": "stop", "it')  # torn by a kill
    return str(folder)


def write_trained(work_dir, scores, scoring=0., **fields) -> str:
    """A run of 10 iterations an epoch, with a checkpoint of each epoch."""
    written = write_run(
        Path(work_dir),
        scores,
        iters=10,
        scoring=scoring,
        teacher=.3 if scoring else None,
        **fields)
    for epoch in range(1, 1 + len(scores)):
        torch.save(
            dict(state_dict=dict(epoch=torch.tensor(epoch))),
            f'{work_dir}/epoch_{epoch}.pth')
    return written
