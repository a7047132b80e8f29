# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Find what a report is about: runs in their groups, and files beside them."""
import ast
import glob
import math
import os.path as osp
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence

from mmw2s.analysis.compare_runs import load_runs
from mmw2s.analysis.run import Run
from .groups import Group, group_by_name, is_run, runs_below
from .saved import groups_of, kind_of, read_json

__all__ = ['Material', 'gather']

# Files of other commands that are shown where they lie in a named folder.
_BESIDE = ('budget.json', 'study.json', 'study_result.json',
           '*step_cost*.json')
_SAVED = ('settings.json', 'report.json')
# A study's names of the arm without a teacher, and of the teacher it trains.
_BASELINE, _OWN = 'baseline', 'teacher'


@dataclass
class Material:
    """What a report is made of.

    Args:
        groups (list[Group]): The baseline first, if there is one.
        step_costs (dict[str, dict]): Path -> what ``mmw2s benchmark`` wrote.
        budgets (dict[str, dict]): Path -> what ``mmw2s pair`` wrote.
        studies (dict[str, dict]): Path -> what ``mmw2s study`` wrote.
        problems (list[str]): A sentence for each thing that was left out.
    """
    groups: List[Group] = field(default_factory=list)
    step_costs: Dict[str, dict] = field(default_factory=dict)
    budgets: Dict[str, dict] = field(default_factory=dict)
    studies: Dict[str, dict] = field(default_factory=dict)
    problems: List[str] = field(default_factory=list)

    def keep(self, path: str, content: Dict[str, Any]) -> None:
        """Put a file of another command where it belongs."""
        kind = kind_of(content)
        if osp.basename(path).startswith('study'):
            self.studies[path] = content
        elif kind == 'step cost':
            self.step_costs[path] = content
        elif kind == 'budget':
            self.budgets[path] = content

    def asked(self) -> Dict[str, Any]:
        """What a study has fixed: ``metric``, ``rule``, ``targets`` and
        ``margin``. Empty where there is no study, or more than one."""
        fixed = [
            content['fixed'] for content in self.studies.values()
            if isinstance(content.get('fixed'), dict)
        ]
        if len(fixed) != 1:
            return {}
        found: Dict[str, Any] = {}
        for key, text in fixed[0].items():
            if not key.startswith('study.'):
                continue  # of a config
            name = key[len('study.'):]
            if name in ('metric', 'rule', 'margin'):
                found[name] = ast.literal_eval(text)
            elif name.startswith('targets.'):
                target = ast.literal_eval(text)
                found.setdefault('targets', []).append(str(target))
        return found

    def follow_studies(self) -> None:
        """Put the arms of studies in their order, without unfinished runs.

        An arm whose teacher is not the study's own, but random, or an earlier
        checkpoint, did not need the whole of that one's training.
        """
        arms: Dict[str, Any] = {}
        for content in self.studies.values():
            if isinstance(content.get('arms'), dict):
                arms.update(content['arms'])
        for group in self.groups:
            arm = arms.get(group.name)
            if not isinstance(arm, dict):
                continue
            self.problems += [
                f'Left out: {run.name}, which has not finished.'
                for run in group.runs if not run.finished
            ]
            group.runs = [run for run in group.runs if run.finished]
            group.is_baseline = group.name == _BASELINE
            if arm.get('teacher', _OWN) != _OWN:
                group.teacher = None
            elif group.teacher is not None:
                group.teacher = self._as_chosen(group.teacher)
        self.groups = [group for group in self.groups if group.runs]
        places = {name: place for place, name in enumerate(arms)}
        self.groups.sort(key=lambda group: (not group.is_baseline,
                                            places.get(group.name, len(arms))))

    def _as_chosen(self, teacher: Run) -> Run:
        """The training of a study's teacher up to the checkpoint that taught.
        """
        for content in self.studies.values():
            chosen = (content.get('teachers') or {}).get(_OWN) or {}
            history = [
                row for row in teacher.history
                if row['iter'] <= chosen.get('iter', math.inf)
            ]
            if chosen and history:
                return replace(teacher, history=history)
        return teacher

    def keep_beside(self, folder: str) -> None:
        """Take the files of other commands in a folder."""
        for pattern in _BESIDE:
            for path in sorted(
                    glob.glob(osp.join(glob.escape(folder), pattern))):
                try:
                    self.keep(path, read_json(path))
                except ValueError as error:
                    self.problems.append(f'Left out: {error}.')


def gather(paths: Sequence[str],
           settings: Optional[Mapping[str, Sequence[str]]] = None,
           teachers: Optional[Mapping[Optional[str], str]] = None) -> Material:
    """Find the runs, and put them into groups.

    Args:
        paths (Sequence[str]): Work_dirs; folders that hold some, as a study
            or a pair does; ``settings.json`` or ``report.json`` of earlier
            comparisons; step costs and budgets.
        settings (Mapping[str, Sequence[str]], optional): Name of a setting ->
            its work_dirs. If given, the runs in ``paths`` are the baselines;
            else runs are put together by their names.
        teachers (Mapping[str | None, str], optional): Name of a setting -> the
            work_dir of its teacher's own training; None -> that of all others
            that have a teacher on record.

    Raises:
        FileNotFoundError: If something does not exist or holds no run.
        ValueError: If a file is damaged, or a teacher belongs to no group.
    """
    found = Material()
    folders: List[str] = []
    for path in map(osp.expanduser, paths):
        folders += _look(path, found)
    folders = list(dict.fromkeys(folders))
    if settings:
        if folders:
            found.groups.insert(
                0, Group('baseline', load_runs(folders), is_baseline=True))
        for name, runs in settings.items():
            inner = [run for path in runs for run in _named(path)]
            found.groups.append(Group(name, load_runs(inner)))
    elif folders:
        groups, problems = group_by_name(folders)
        found.groups += groups
        found.problems += problems
        found.follow_studies()
    if not found.groups:
        raise FileNotFoundError(
            f'there is no run in {", ".join(paths)}: name work_dirs, or files '
            'that mmw2s compare --out or compare-settings --out has written')
    _check_once(found.groups)
    _count(teachers or {}, found.groups)
    return found


def _look(path: str, found: Material) -> List[str]:
    """The runs at a path; what else there is goes to ``found``."""
    if osp.isdir(path):
        found.keep_beside(path)
        folders = _named(path, may_be_none=True)
        if not folders:
            for name in _SAVED:
                if osp.isfile(osp.join(path, name)):
                    return _look(osp.join(path, name), found)
            if not (found.step_costs or found.budgets):
                _named(path)
        return folders
    if not path.endswith('.json') or not osp.isfile(path):
        return _named(path)
    if is_run(osp.dirname(path) or '.'):
        return [path]
    content = read_json(path)
    kind = kind_of(content)
    if kind in ('settings', 'report'):
        found.groups += groups_of(content, path)
    elif kind is None:
        return [path]
    found.keep(path, content)
    return []


def _named(path: str, may_be_none: bool = False) -> List[str]:
    """The runs at a path that was named."""
    if path.endswith('.json'):
        return [path]
    runs = runs_below(path)
    if not runs and not may_be_none:
        Run.load(path)  # tells what is expected there
    return runs


def _check_once(groups: Sequence[Group]) -> None:
    seen: Dict[str, str] = {}
    names: Dict[str, int] = {}
    for group in groups:
        names[group.name] = names.get(group.name, 0) + 1
        if names[group.name] > 1:
            raise ValueError(f'two settings are called "{group.name}": give '
                             'them different names by --setting')
        for run in group.runs:
            path = run.path and osp.realpath(run.path)
            if path in seen:
                raise ValueError(f'the run {run.path} is given twice, in '
                                 f'"{seen[path]}" and "{group.name}"')
            if path:
                seen[path] = group.name


def _count(teachers: Mapping[Optional[str], str],
           groups: Sequence[Group]) -> None:
    """Give the groups the training of their teachers."""
    by_name = {group.name: group for group in groups}
    for name, path in teachers.items():
        if name is not None and name not in by_name:
            raise ValueError(f'there is a teacher for "{name}", but the '
                             f'settings are {", ".join(by_name)}')
        mine = [by_name[name]] if name is not None else [
            g for g in groups if g.had_teacher and g.name not in teachers
        ]
        if not mine:
            raise ValueError(
                f'no setting has a teacher on record that the training of '
                f'{path} could be counted for: name the settings that it '
                'belongs to')
        run = Run.load(path)
        for group in mine:
            group.teacher = run
