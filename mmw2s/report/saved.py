# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Runs out of the JSON files that ``compare`` and its relatives write."""
import json
from typing import Any, Dict, List, Optional

from mmw2s.analysis.run import Run
from .groups import Group

__all__ = ['groups_of', 'kind_of', 'read_json']

#: A key that only files of that kind have -> the kind.
_KINDS = dict(
    modes='step cost', settings='settings', w2s='report', students='budget')


def read_json(path: str) -> Dict[str, Any]:
    """The content of a JSON file.

    Raises:
        ValueError: If it is damaged, or no object.
    """
    with open(path, encoding='utf-8') as file:
        text = file.read()
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f'{path} is not valid JSON: {error}') from None
    if not isinstance(content, dict):
        raise ValueError(f'{path} should hold a JSON object, but holds a '
                         f'{type(content).__name__}')
    return content


def kind_of(content: Dict[str, Any]) -> Optional[str]:
    """What a file holds: 'settings' or 'report' (runs), 'step cost' or
    'budget'; None if it is of another kind."""
    return next((kind for key, kind in _KINDS.items() if key in content), None)


def groups_of(content: Dict[str, Any], path: str) -> List[Group]:
    """The groups of runs in a ``settings.json`` or a ``report.json``.

    Args:
        content (dict): What the file holds.
        path (str): The file, for messages.

    Returns:
        list[Group]: The baselines, then a group for each setting.

    Raises:
        ValueError: If a run in it lacks what a run has.
    """
    settings = content.get('settings') or {'with a teacher': content}
    groups = [
        Group(
            'baseline', [_run(r, {}, path) for r in content['baselines']],
            is_baseline=True)
    ]
    for name, setting in settings.items():
        teacher = setting.get('teacher')
        groups.append(
            Group(name, [_run(r, setting, path) for r in setting['w2s']],
                  teacher and _run(teacher, {}, path)))
    return groups


def _run(saved: Dict[str, Any], setting: Dict[str, Any], path: str) -> Run:
    """A run, as :func:`mmw2s.analysis.report.to_dict` has told it.

    Args:
        saved (dict): The run.
        setting (dict): Its comparison, whose teacher's score is known; empty
            for a run without one.
    """
    _check(saved, path)
    events = []
    if setting.get('teacher_score') is not None:
        events.append(
            dict(
                event='teacher',
                iter=0,
                metric=setting['metric'],
                score=setting['teacher_score'],
                metrics={setting['metric']: setting['teacher_score']}))
    if saved.get('switch_off'):
        events.append(saved['switch_off'])
    return Run(
        saved['name'],
        saved['history'],
        saved.get('facts') or {},
        finished=saved.get('finished', True),
        events=events)


def _check(saved: Any, path: str) -> None:
    rows = saved.get('history') if isinstance(saved, dict) else None
    if not isinstance(rows, list) or not rows or not all(
            isinstance(row, dict) and isinstance(row.get('iter'), int)
            and isinstance(row.get('metrics'), dict) for row in rows):
        raise ValueError(
            f'{path} has a run without a history: expected is a file that '
            'mmw2s compare or compare-settings has written with --out')
