# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Whether a run can have a teacher that is shown other images."""
import logging

from mmengine.logging import print_log
from mmengine.runner import Runner

from .run_facts import smallest_batch

__all__ = ['check_permuted']


def check_permuted(runner: Runner, starts_alone: bool) -> None:
    """Refuse a permuted teacher where it is none, else tell that it is one.

    Args:
        runner (Runner): The run, about to train.
        starts_alone (bool): Whether the teacher gives its weights, and
            nothing else.

    Raises:
        ValueError: If nothing is distilled, or a batch has one image alone.
    """
    if starts_alone:
        raise ValueError(
            'teacher.permute shows the teacher other images than the student '
            'is compared on, but nothing is compared (distill=[]): leave one '
            'of the two out')
    if smallest_batch(runner) == 1:
        raise ValueError(
            'teacher.permute shows the teacher another image of the batch, '
            'but a batch of this run has one image alone: use a larger '
            'train_dataloader.batch_size, or train_dataloader.drop_last=True '
            'if it is the last one of an epoch')
    print_log(
        'This run is a control: the teacher is shown another image of the '
        'batch than the student is compared on (teacher.permute), so it can '
        'teach nothing about an image.',
        logger='current',
        level=logging.WARNING)
