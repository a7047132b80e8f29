# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Runs that differ in nothing but their seed, and how they are found."""
import glob
import os
import os.path as osp
import re
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Sequence, Tuple

from mmw2s.analysis.mmengine_logs import log_folders
from mmw2s.analysis.run import Run
from mmw2s.records.files import FILENAME

__all__ = ['Group', 'group_by_name', 'is_run', 'runs_below']

# "w2s_s0", "w2s-seed_1", "seed_2", "s3_started": what is left out of a name.
_SEED = re.compile(r'(?:^|[_\-. ])(?:seed|s)[_\-]?\d+(?=$|[_\-. ])', re.I)
# Names of a teacher's own training.
_TEACHERS = ('teacher', 'teacher_training')
# Folders inside a folder that is named: a study has arms, an arm has seeds.
_DEPTH = 3


@dataclass
class Group:
    """Runs that are drawn as one: a setting, one run a seed.

    Args:
        name (str): Its name.
        runs (list[Run]): One a seed.
        teacher (Run, optional): The teacher's own training, if it is known.
        is_baseline (bool): Whether others are compared with it.
    """
    name: str
    runs: List[Run] = field(default_factory=list)
    teacher: Optional[Run] = None
    is_baseline: bool = False

    @property
    def had_teacher(self) -> bool:
        """Whether any of its runs has a teacher on record."""
        return any(run.had_teacher for run in self.runs)


def is_run(folder: str) -> bool:
    """Whether a folder holds what a run is read from."""
    return osp.isfile(osp.join(folder, FILENAME)) or bool(log_folders(folder))


def runs_below(folder: str, depth: int = _DEPTH) -> List[str]:
    """The work_dirs of runs in a folder, itself included, in order."""
    if is_run(folder):
        return [folder]
    found: List[str] = []
    if depth:
        for inner in sorted(glob.glob(osp.join(glob.escape(folder), '*', ''))):
            found += runs_below(osp.normpath(inner), depth - 1)
    return found


def group_by_name(folders: Sequence[str]) -> Tuple[List[Group], List[str]]:
    """Load runs, and put those together whose names differ by a seed.

    ``base_s0`` and ``base_s1`` are "base"; ``arm/seed_0`` is "arm". Of
    ``a/base_s0`` and ``b/base_s0`` none is a seed of the other: these are
    "a/base" and "b/base". The
    baseline is the group without a teacher on record whose name begins with
    "base"; else, if others had a teacher, the first one that had none. A
    single run "teacher" (in a study "teacher_training") that nobody taught is
    the teacher of all groups that have one on record.

    Args:
        folders (Sequence[str]): Work_dirs.

    Returns:
        tuple[list[Group], list[str]]: The baseline first, and a sentence for
        each run that could not be read.

    Raises:
        FileNotFoundError: If none of them could be read.
    """
    groups: Dict[str, Group] = {}
    names, problems = _settings(folders)
    for folder, name in zip(folders, names):
        try:
            run = Run.load(folder, _shown(folder))
        except (FileNotFoundError, ValueError) as error:
            problems.append(f'Left out: {error}.')
            continue
        groups.setdefault(name, Group(name)).runs.append(run)
    if not groups:
        raise FileNotFoundError(' '.join(problems))
    ordered = _count_teacher(list(groups.values()))
    baseline = _baseline(ordered)
    if baseline is not None:
        baseline.is_baseline = True
        ordered.sort(key=lambda group: not group.is_baseline)
    return ordered, problems


def _settings(folders: Sequence[str]) -> Tuple[List[str], List[str]]:
    """The setting of each folder, and a sentence for each name that runs of
    different settings have."""
    names, problems = list(map(_stem, folders)), []
    for stem in dict.fromkeys(names):
        mine = [i for i, name in enumerate(names) if name == stem]
        runs = {(_shown(folders[i]), _place(folders[i])) for i in mine}
        if len({run for run, _ in runs}) == len(runs):
            continue
        places = {i: _place(folders[i]) for i in mine}
        above = osp.commonpath(list(places.values()))
        above = osp.dirname(above) if above in places.values() else above
        for i, place in places.items():
            names[i] = osp.relpath(place, above)
        told = ', '.join(dict.fromkeys(names[i] for i in mine))
        problems.append(
            f'"{stem}" is in several folders, with runs of the same name: '
            f'{told} are taken for different settings. All settings are '
            'compared with one baseline; give the folders one at a time if '
            'each has its own.')
    return names, problems


def _place(folder: str) -> str:
    """The path of a work_dir without the seeds in it."""
    parts = osp.abspath(folder).split(os.sep)
    stems = [_SEED.sub('', part).strip('_-. ') for part in parts]
    return osp.join(os.sep, *(stem for stem in stems if stem))


def _stem(folder: str) -> str:
    """The name of a work_dir without its seed."""
    path = osp.abspath(folder)
    while True:
        path, name = osp.split(path)
        stem = _SEED.sub('', name).strip('_-. ')
        if stem or not name:
            return stem or 'runs'


def _shown(folder: str) -> str:
    """A run's name; with that of its arm where it is a seed alone."""
    name = osp.basename(osp.abspath(folder))
    return name if _SEED.sub('', name).strip('_-. ') else \
        f'{_stem(folder)}/{name}'


def _count_teacher(groups: List[Group]) -> List[Group]:
    """Take a group that is a teacher's own training for what it is."""
    taught = [group for group in groups if group.had_teacher]
    teachers = [
        group for group in groups if not group.had_teacher
        and len(group.runs) == 1 and group.name.lower() in _TEACHERS
    ]
    if not taught or not teachers:
        return groups
    for group in taught:
        group.teacher = teachers[0].runs[0]
    return [group for group in groups if group is not teachers[0]]


def _baseline(groups: Sequence[Group]) -> Optional[Group]:
    untaught = [group for group in groups if not group.had_teacher]
    named = [g for g in untaught if re.search(r'\bbase|_base', g.name, re.I)]
    if named:
        return named[0]
    return untaught[0] if untaught and len(untaught) < len(groups) else None
