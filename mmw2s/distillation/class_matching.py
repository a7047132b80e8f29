# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Whether a teacher's classes are the student's, told by their names."""
import logging
import re
from itertools import zip_longest
from typing import Any, Dict, List, Optional, Sequence

from mmengine.logging import print_log
from torch import nn

from mmw2s.utils.text import plural
from .label_names import Names
from .respelt_names import canonical_name

__all__ = [
    'check_classes', 'class_difference', 'columns_of', 'num_classes',
    'places_of', 'spelling'
]


def num_classes(head: Optional[nn.Module]) -> Optional[int]:
    """How many classes a head, or the layer that is one, tells apart."""
    found = getattr(head, 'num_classes', getattr(head, 'out_features', None))
    return found if isinstance(found, int) else None


def spelling(name: str) -> str:
    """What all spellings of one name share: 'Traffic_light' is a 'traffic
    light', and a class that a package has respelt the same class."""
    return re.sub(r'[\s_-]+', ' ', canonical_name(name)).strip().casefold()


def class_difference(teacher: Any, student: Names) -> Optional[str]:
    """How the classes that a teacher knows differ from the student's.

    Args:
        teacher (FrozenTeacher): With its ``classes``.
        student (tuple[str], optional): The student's; None where they are not
            known, and nothing can be compared.

    Returns:
        str, optional: None where they are the same, as far as they are known.
        Other spellings of the same names in the same order are the same.
    """
    theirs = teacher.classes
    if student is None or theirs is None or \
            [spelling(t) for t in theirs] == [spelling(s) for s in student]:
        return None
    differing = [
        f'{i}: {t!r} against {s!r}'
        for i, (t, s) in enumerate(zip_longest(theirs, student))
        if None in (t, s) or spelling(t) != spelling(s)
    ]
    return (f'the teacher was trained on {plural(len(theirs), "class")}, the '
            f'student is on {len(student)}; they differ at ' +
            ', '.join(differing[:3]))


def check_classes(teacher: Any, student: Names, strict: bool) -> bool:
    """Compare the classes that a teacher knows with the student's.

    Args:
        teacher (FrozenTeacher): With its ``classes``.
        student (tuple[str], optional): The student's, where known.
        strict (bool): Whether different ones are an error, for scores are
            paired class by class, or worth a warning.

    Returns:
        bool: Whether they are the same, as far as they are known.

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


def columns_of(theirs: Names, student: Names) -> Optional[List[int]]:
    """Which of a teacher's outputs belong to the student's classes.

    Args:
        theirs (tuple[str], optional): The teacher's classes.
        student (tuple[str], optional): The student's.

    Returns:
        list[int], optional: A column of the teacher for each of the student's
        classes. None where nothing is to be moved: they are the same in the
        same order, one of the two is not known, or the teacher lacks some.

    Raises:
        ValueError: Where a name fits several classes.
    """
    if not theirs or not student or \
            [spelling(t) for t in theirs] == [spelling(s) for s in student]:
        return None
    # Of ImageNet-21k there are too many to look through them for each name.
    exact = places_of(theirs)
    respelt = places_of([spelling(name) for name in theirs])
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
                f'{len(theirs)} outputs in their order, each name once, and '
                'the same name to the student\'s class')
    columns = [found[0] for found in places]
    for column, found in places_of(columns).items():
        if len(found) > 1:
            raise ValueError(
                f'the student\'s classes nos. {found[0]} and {found[1]} '
                f'are both {theirs[column]!r}, of which the teacher has one: '
                'give each class of the data set a name of its own, and the '
                'teacher\'s outputs the same names by teacher.classes=[...]')
    return columns


def places_of(names: Sequence[Any]) -> Dict[Any, List[int]]:
    """Where each name stands."""
    found: Dict[Any, List[int]] = {}
    for i, name in enumerate(names):
        found.setdefault(name, []).append(i)
    return found
