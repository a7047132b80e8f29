# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What the labels of a run's data sets mean."""
import logging

from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import nn

from mmw2s.distillation.class_matching import places_of, spelling
from mmw2s.distillation.label_names import Names, label_names

__all__ = ['check_validation', 'student_classes']


def student_classes(runner: Runner, student: nn.Module) -> Names:
    """What the labels mean that the student is trained on.

    None where that is not known, and of an unconditional model, to which the
    data's classes are nothing.
    """
    names = label_names(runner.train_dataloader.dataset)
    return None if getattr(student, 'num_classes', names) is None else names


def check_validation(runner: Runner, classes: Names, strict: bool) -> None:
    """Compare what the labels mean in training and in validation.

    Args:
        runner (Runner): With its validation loop, if it has one, built.
        classes (tuple[str], optional): The training set's, where known.
        strict (bool): Whether the distillation is decided by validation.

    Raises:
        ValueError: If ``strict`` and a name stands at another label there:
            neither model's score would mean anything.
    """
    if runner.val_loop is None or classes is None:
        return
    loader = getattr(runner.val_loop, 'dataloader', None)
    evaluated = _evaluated(runner) or label_names(
        getattr(loader, 'dataset', None))
    places = {
        name: found[0]
        for name, found in places_of([spelling(c) for c in classes]).items()
        if len(found) == 1
    }
    moved = [
        f'{name!r} is {places[spelling(name)]} in training and {i} in '
        'validation' for i, name in enumerate(evaluated or ())
        if places.get(spelling(name), i) != i
    ]
    if not moved:
        return
    message = (f'the labels of the two data sets differ: {moved[0]}' +
               (f', and {len(moved) - 1} more' if moved[1:] else '') +
               '. mmdet numbers the labels of a COCO file by the order of its '
               '"categories": bring those of both files, and metainfo, into '
               'one order')
    if strict:
        raise ValueError(message)
    print_log(message, logger='current', level=logging.WARNING)


def _evaluated(runner: Runner) -> Names:
    """The order of the categories in an evaluator's own COCO or LVIS file."""
    evaluator = getattr(runner.val_loop, 'evaluator', None)
    for metric in getattr(evaluator, 'metrics', ()):
        api = getattr(metric, '_coco_api', None)
        meta = getattr(metric, 'dataset_meta', None)
        wanted = meta.get('classes') if isinstance(meta, dict) else None
        if hasattr(api, 'get_cat_ids') and wanted is not None:
            ids = api.get_cat_ids(cat_names=wanted)
            return tuple(str(api.cats[i]['name']) for i in ids) or None
    return None
