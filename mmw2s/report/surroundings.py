# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Tables of what is around the runs: machine, costs, a study's record."""
import json
import os.path as osp
from typing import Any, Dict, List

from mmw2s.analysis.table import Table
from .content import Report

__all__ = ['amendments', 'budgets', 'commands', 'environment', 'step_costs']


def environment(report: Report) -> Table:
    """Configs, seeds, devices and versions: a row for runs that share all
    but their seed."""
    rows: Dict[tuple, List[str]] = {}
    named = [(group.name, run) for group in report.groups
             for run in group.runs]
    named += [('teacher', run) for run in report.teachers()]
    for name, run in named:
        facts = run.facts
        devices = facts.get('devices') or []
        key = (name, *map(
            _told,
            (facts.get('config'), f'{len(devices)} \u00d7 {devices[0]}' if
             devices else None, facts.get('cpu_count'), facts.get('precision'),
             facts.get('batch_size_per_device'), ', '.join(
                 f'{k} {v}'
                 for k, v in (facts.get('versions') or {}).items() if v))))
        rows.setdefault(key, []).append(_told(facts.get('seed')))
    header = [
        'setting', 'seeds', 'config', 'devices', 'CPU cores', 'precision',
        'batch a device', 'versions'
    ]
    return Table('Setting of the runs', header,
                 [[key[0], ', '.join(seeds), *key[1:]]
                  for key, seeds in rows.items()])


def _told(value: Any) -> str:
    return '\u2013' if value in (None, '') else str(value)


def step_costs(report: Report) -> List[Table]:
    """What ``mmw2s benchmark`` has measured: milliseconds and ratios."""
    found = []
    for path, content in report.material.step_costs.items():
        modes, ratios = content.get('modes'), content.get('ratios')
        if not isinstance(modes, dict) or not isinstance(ratios, dict):
            continue
        rows = [[
            name, *(f'{part.get(key, float("nan")):.4g}'
                    for key in ('median', 'low', 'high')), 'ms'
        ] for name, part in modes.items()]
        rows += [[
            name, *(f'{part.get(key, float("nan")):.3f}'
                    for key in ('median', 'low', 'high')), 'times'
        ] for name, part in ratios.items()]
        found.append(
            Table(f'Cost of a step, {osp.basename(path)}',
                  ['step', 'median', 'lower quartile', 'upper quartile', ''],
                  rows))
    return found


def budgets(report: Report) -> List[Table]:
    """What the stages of a pair have cost."""
    found = []
    for path, content in report.material.budgets.items():
        stages = {
            **(content.get('teacher') or {}),
            **(content.get('students') or {}),
            **(content.get('baselines') or {})
        }
        rows = [[
            name, *(f'{cost.get(key, 0):.1f}'
                    for key in ('training', 'scoring', 'validation', 'total'))
        ] for name, cost in stages.items()]
        for key in ('total', 'teacher_and_one_student'):
            if isinstance(content.get(key), (int, float)):
                rows.append(
                    [key.replace('_', ' '), '', '', '', f'{content[key]:.1f}'])
        folder = osp.basename(osp.dirname(osp.abspath(path)))
        found.append(
            Table(f'Budget of {folder}, in seconds', [
                'stage', 'training', 'scoring the teacher',
                'validation and other', 'in all'
            ], rows))
    return found


def amendments(report: Report) -> List[Table]:
    """What was changed in a study after it had been fixed."""
    found = []
    for path, content in report.material.studies.items():
        changes = content.get('amendments')
        if not isinstance(changes, list) or not changes:
            continue
        header = list(
            dict.fromkeys(
                key for change in changes if isinstance(change, dict)
                for key in change))
        rows = [[_flat(change.get(key)) for key in header]
                for change in changes if isinstance(change, dict)]
        if header:
            found.append(
                Table(f'Amendments of {osp.basename(path)}', header, rows))
    return found


def _flat(value: Any) -> str:
    if value is None:
        return '\u2013'
    return value if isinstance(value, str) else json.dumps(value)


def commands(report: Report) -> List[str]:
    """The commands that a study or a run has on record."""
    found = []
    for content in report.material.studies.values():
        listed = content.get('commands')
        if isinstance(listed, dict):
            listed = list(listed.values())
        for one in listed if isinstance(listed, list) else []:
            found.append(
                one if isinstance(one, str) else ' '.join(map(str, one)))
    for group in report.groups:
        found += [
            run.facts['command'] for run in group.runs
            if isinstance(run.facts.get('command'), str)
        ]
    return list(dict.fromkeys(found))
