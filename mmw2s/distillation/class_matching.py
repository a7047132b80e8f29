# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Compare the classes of teacher and student by their names."""
import logging
import re
from itertools import zip_longest
from typing import Any, Dict, List, Optional, Sequence

from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import nn

from mmw2s.utils.text import plural
from .label_names import Names, label_names
from .respelt_names import canonical_name

__all__ = [
    'check_classes', 'check_validation', 'class_difference', 'columns_of',
    'student_classes'
]


def student_classes(runner: Runner, student: nn.Module) -> Names:
    """The class names of the labels that the student is trained on.

    None if they are not known, and for an unconditional model, which does not
    use the labels.
    """
    names = label_names(runner.train_dataloader.dataset)
    return None if getattr(student, 'num_classes', names) is None else names


def spelling(name: str) -> str:
    """A form of a name that is the same for all its spellings.

    'Traffic_light' and 'traffic light' have the same form, and so have two
    spellings of a class in different versions of a package.
    """
    return re.sub(r'[\s_-]+', ' ', canonical_name(name)).strip().casefold()


def class_difference(teacher: Any, student: Names) -> Optional[str]:
    """How the classes of teacher and student differ.

    Args:
        teacher (FrozenTeacher): The teacher; its ``classes`` are compared.
        student (tuple[str], optional): The student's classes; None if they
            are not known.

    Returns:
        str, optional: The difference in words. None if there is none, or if
        one side is not known. Different spellings are no difference.
    """
    names = teacher.classes
    if student is None or names is None or \
            [spelling(t) for t in names] == [spelling(s) for s in student]:
        return None
    differing = [
        f'{i}: {t!r} against {s!r}'
        for i, (t, s) in enumerate(zip_longest(names, student))
        if None in (t, s) or spelling(t) != spelling(s)
    ]
    return (f'the teacher was trained on {plural(len(names), "class")}, the '
            f'student is on {len(student)}; they differ at ' +
            ', '.join(differing[:3]))


def check_classes(teacher: Any, student: Names, strict: bool) -> bool:
    """Compare the classes of teacher and student; warn or raise.

    Args:
        teacher (FrozenTeacher): The teacher; its ``classes`` are compared.
        student (tuple[str], optional): The student's classes, if known.
        strict (bool): Whether a difference is an error, because scores are
            paired class by class. Otherwise a difference is a warning.

    Returns:
        bool: Whether the classes are the same, as far as they are known.

    Raises:
        ValueError: If they differ and ``strict``.
    """
    if strict and student is not None and teacher.classes is None:
        print_log(
            'The teacher\'s checkpoint does not name its classes: they are '
            f'taken for the student\'s {len(student)}, in the same order. '
            'teacher.classes=[...] names them.',
            logger='current')
    message = class_difference(teacher, student)
    if message is None:
        return True
    if strict:
        raise ValueError(
            f'{message}. Scores are paired class by class: use a teacher '
            'of the same classes in the same order, or distil features '
            'only (knowledge FPNFeatures, or of a classifier '
            'HiddenFeatures). If its checkpoint names them wrongly, give '
            'teacher.classes=[...], the name of each of its outputs')
    print_log(
        f'{message}: so their scores are not compared',
        logger='current',
        level=logging.WARNING)
    return False


def columns_of(teacher: Names, student: Names) -> Optional[List[int]]:
    """Which of the teacher's outputs belong to the student's classes.

    Args:
        teacher (tuple[str], optional): The teacher's classes.
        student (tuple[str], optional): The student's classes.

    Returns:
        list[int], optional: The teacher's column for each class of the
        student. None if there is nothing to select: the classes are the same
        in the same order, one side is not known, or the teacher does not have
        all classes.

    Raises:
        ValueError: If a name fits several classes.
    """
    if not teacher or not student or \
            [spelling(t) for t in teacher] == [spelling(s) for s in student]:
        return None
    # A dict, because ImageNet-21k has too many names to search all for each.
    exact = _places(teacher)
    respelt = _places([spelling(name) for name in teacher])
    places = [
        exact.get(name) or respelt.get(spelling(name), []) for name in student
    ]
    if not all(places):
        return None
    for name, found in zip(student, places):
        if len(found) > 1:
            raise ValueError(
                f'the student\'s class {name!r} may be any of the teacher\'s '
                f'nos. {", ".join(map(str, found))}, which bear that name: '
                'give teacher.classes=[...], the names of its '
                f'{len(teacher)} outputs in their order, each name once, and '
                'the same name to the student\'s class')
    columns = [found[0] for found in places]
    for column, found in _places(columns).items():
        if len(found) > 1:
            raise ValueError(
                f'the student\'s classes nos. {found[0]} and {found[1]} '
                f'are both {teacher[column]!r}, of which the teacher has one: '
                'give each class of the data set a name of its own, and the '
                'teacher\'s outputs the same names by teacher.classes=[...]')
    return columns


def _places(names: Sequence[Any]) -> Dict[Any, List[int]]:
    """Name -> all its positions."""
    found: Dict[Any, List[int]] = {}
    for i, name in enumerate(names):
        found.setdefault(name, []).append(i)
    return found


def check_validation(runner: Runner, classes: Names, strict: bool) -> None:
    """Compare the meaning of the labels in training and in validation.

    Args:
        runner (Runner): The run; its validation loop is built.
        classes (tuple[str], optional): Classes of the training set, if known.
        strict (bool): Whether the distillation depends on validations. If so,
            a difference is an error, otherwise a warning.

    Raises:
        ValueError: If ``strict`` and a class has different labels in the two
            data sets: the scores would mean nothing.
    """
    if runner.val_loop is None or classes is None:
        return
    loader = getattr(runner.val_loop, 'dataloader', None)
    evaluated = _evaluated(runner) or label_names(
        getattr(loader, 'dataset', None))
    places = {
        name: found[0]
        for name, found in _places([spelling(c) for c in classes]).items()
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
