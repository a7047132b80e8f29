# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Compare the classes of teacher and student by their names."""
import logging
import re
from itertools import zip_longest
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from mmengine.logging import print_log
from torch import nn

from mmw2s.utils.text import plural
from .label_names import Names
from .respelt_names import canonical_name

__all__ = [
    'OtherClasses', 'check_classes', 'class_difference', 'columns_of',
    'num_classes', 'other_classes', 'places_of', 'spelling'
]


class OtherClasses(NamedTuple):
    """How the classes of teacher and student differ.

    Attributes:
        words (str): The difference in words.
        columns (tuple[int, optional]): For each class of the student the
            teacher's of the same name; None where it has none, or where the
            name fits several. Empty if the names are not known.
        given (int): Number of the teacher's classes; 0 if not known.
    """
    words: str
    columns: Tuple[Optional[int], ...] = ()
    given: int = 0

    def __str__(self) -> str:
        return self.words

    @property
    def shared(self) -> int:
        """Number of the classes that both know."""
        return sum(column is not None for column in self.columns)


def num_classes(head: Optional[nn.Module]) -> Optional[int]:
    """Number of classes of a head, or of a layer that is one, if known."""
    found = getattr(head, 'num_classes', getattr(head, 'out_features', None))
    return found if isinstance(found, int) else None


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


def other_classes(teacher: Any, student: Names) -> Optional[OtherClasses]:
    """The difference in words, and the classes that the two share.

    Args:
        teacher (FrozenTeacher): The teacher; its ``classes`` are compared.
        student (tuple[str], optional): The student's classes, if known.

    Returns:
        OtherClasses, optional: None if there is no difference, or if one
        side is not known.
    """
    words = class_difference(teacher, student)
    if words is None:
        return None
    found = _candidates(teacher.classes, student)
    # A column that several classes lay claim to is given to none of them.
    claims = places_of([places[0] for places in found if len(places) == 1])
    columns = (
        places[0] if len(places) == 1 and len(claims[places[0]]) == 1 else None
        for places in found)
    return OtherClasses(words, tuple(columns), len(teacher.classes))


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
            'of the same classes in the same order, or distill features '
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
    places = _candidates(teacher, student)
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
    for column, found in places_of(columns).items():
        if len(found) > 1:
            raise ValueError(
                f'the student\'s classes nos. {found[0]} and {found[1]} '
                f'are both {teacher[column]!r}, of which the teacher has one: '
                'give each class of the data set a name of its own, and the '
                'teacher\'s outputs the same names by teacher.classes=[...]')
    return columns


def _candidates(teacher: Sequence[str],
                student: Sequence[str]) -> List[List[int]]:
    """The teacher's classes that each of the student's may be."""
    # A dict, because ImageNet-21k has too many names to search all for each.
    exact = places_of(teacher)
    respelled = places_of([spelling(name) for name in teacher])
    return [
        exact.get(name) or respelled.get(spelling(name), [])
        for name in student
    ]


def places_of(names: Sequence[Any]) -> Dict[Any, List[int]]:
    """Name -> all its positions."""
    found: Dict[Any, List[int]] = {}
    for i, name in enumerate(names):
        found.setdefault(name, []).append(i)
    return found
