# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The report as one HTML file, which needs no network and no server."""
import csv
import io
import json
import os.path as osp
import time
from html import escape
from typing import Dict, List, Optional

from mmw2s.utils.files import atomic_write
from mmw2s.version import __version__
from . import vega
from .answer import answer, figures
from .chart_data import TEACHER
from .charts import bars, curves
from .content import Report
from .gains import finals, gains
from .html import details, download, items, json_script, section, table
from .looks import looks, swatch
from .pictures import pictures
from .summary import summary, values
from .surroundings import (amendments, budgets, commands, environment,
                           step_costs)

__all__ = ['write_page']

_EXPLAINED = (
    'Each line is the median over the seeds, the band runs from the least to '
    'the most. A ring marks where the distillation was switched off. Dotted '
    'lines are targets, the dashed one is the teacher\'s score.')
_NEVER = (
    'A bar is the median over the seeds, the thin line runs from the least to '
    'the most. A pale bar with a broken edge is open: half of the runs or '
    'more had not reached the target when they ended, where the bar ends.')


def write_page(report: Report,
               path: str,
               margin: Optional[float] = None,
               command: str = '',
               interactive: bool = True) -> None:
    """Write the page.

    Args:
        report (Report): What it shows.
        path (str): The file; its folder must exist.
        margin (float, optional): By how much the final metric may be worse.
            If given, the page says whether that holds.
        command (str): The command that made the page, to be shown.
        interactive (bool): Whether it has the code that makes charts and
            tables interactive, about 0.9 MB. Defaults to True.

    Raises:
        ImportError: If vl-convert-python is not installed.
    """
    lines = _page(report, margin, command, interactive)
    with atomic_write(path) as file:
        file.writelines(f'{line}\n' for line in lines)


def _asset(name: str) -> str:
    with open(osp.join(osp.dirname(__file__), name), encoding='utf-8') as f:
        return f.read()


def _page(report: Report, margin: Optional[float], command: str,
          interactive: bool) -> List[str]:
    title = escape(report.title)
    drawn = {'curves': curves(report)}
    if any(report.targets.values()):
        drawn['bars'] = bars(report)
    return [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, '
        'initial-scale=1">', '<meta name="color-scheme" content="light dark">',
        f'<title>{title}</title>', f'<style>{_asset("page.css")}</style>',
        '</head>\n<body>\n<a class="skip" href="#curves">To the curves</a>',
        '<main>',
        _head(report),
        section('curves', 'Learning curves', _controls(report),
                _figure(report, 'curves', drawn), f'<p>{_EXPLAINED}</p>',
                _values(report)),
        section('targets', 'Time to target', _figure(report, 'bars', drawn),
                f'<p>{_NEVER}</p>') if 'bars' in drawn else '',
        _settings(report, margin),
        _pictures(report),
        section(
            'cost', 'Cost',
            *(table(*found, False)
              for found in step_costs(report) + budgets(report))),
        section('notes', 'Notes', items(report.notes)),
        _made_with(report, command),
        _raw(report), '</main>',
        _scripts(drawn) if interactive else '', '</body>\n</html>'
    ]


def _scripts(drawn: Dict[str, dict]) -> str:
    charts = {name: vega.compiled(chart) for name, chart in drawn.items()}
    return '\n'.join([
        json_script('charts', charts), f'<script>{vega.code()}</script>',
        f'<script>{_asset("page.js")}</script>'
    ])


def _head(report: Report) -> str:
    first, *more = answer(report)
    tiles = ''.join(
        f'<li class="{"gain" if tile.is_gain else "none"}">'
        f'<b>{escape(tile.value)}</b><span>{escape(tile.label)}</span>'
        f'<small>{escape(tile.cost)}</small>' +
        (f'<small>{escape(tile.counted)} with the teacher counted</small>'
         if tile.counted else '') + '</li>' for tile in figures(report))
    setting = next(iter(report.comparisons), None)
    return '\n'.join([
        f'<header><p class="eyebrow">{escape(report.title)}</p>',
        f'<h1>{escape(first)}</h1>',
        f'<p class="lead">{escape(" ".join(more))}</p>' if more else '',
        f'<ul class="tiles" aria-label="Speed-ups of {escape(setting or "")}">'
        f'{tiles}</ul>' if tiles else '', '</header>'
    ])


def _controls(report: Report) -> str:
    axes = ''.join(
        f'<label><input type="radio" name="axis" value="{escape(axis.key)}"'
        f'{" checked" * (i == 0)}><span>{escape(_short(axis.key))}</span>'
        '</label>' for i, axis in enumerate(report.axes))
    options = ''.join(f'<option>{escape(name)}</option>'
                      for name in report.metrics)
    return ('<form class="controls" hidden><fieldset><legend>Against</legend>'
            f'<div class="switch">{axes}</div></fieldset>'
            f'<label class="metric"{" hidden" * (len(report.metrics) == 1)}>'
            f'Metric <select name="metric">{options}</select></label></form>')


def _short(key: str) -> str:
    return {'time': 'time', 'time+teacher': 'time + teacher'}.get(key, key)


def _figure(report: Report, name: str, drawn: dict) -> str:
    """The chart as a picture, which the page's code makes interactive."""
    metric, rule = report.metric, report.metrics[report.metric]
    title = {
        'curves': f'{metric} against {report.axes[0].label}',
        'bars': f'{report.axes[0].label.capitalize()} to targets of {metric}'
    }[name]
    rules = json.dumps({
        m: f'{r} is better'
        for m, r in report.metrics.items()
    })
    return '\n'.join([
        '<figure>', f'<figcaption><b data-metric="{escape(rules)}">'
        f'{escape(metric)}</b> <span>{rule} is better</span></figcaption>'
        if name == 'curves' else '',
        _legend(report, name),
        f'<div class="chart" id="chart-{name}" role="img" '
        f'aria-label="{escape(title)}; the numbers are in the tables">'
        f'{vega.picture(drawn[name], name)}</div>', '</figure>'
    ])


def _legend(report: Report, chart: str) -> str:
    """What line is whose; a check box hides it where code runs."""
    found = looks(report)
    names = {group.name: group.name for group in report.groups}
    if report.axes[-1].counted:
        names.update((group.name, f'{group.name} (teacher not counted)')
                     for group in report.groups
                     if group.had_teacher and group.teacher is None)
    if chart == 'curves' and report.teachers():
        names[TEACHER] = TEACHER
    lines = [
        f'<label><input type="checkbox" checked value="{escape(name)}">'
        f'{swatch(found[name])}<span>{escape(text)}</span></label>'
        for name, text in names.items()
    ]
    return '<div class="legend" role="group" aria-label="Settings">' \
        f'{"".join(lines)}</div>'


def _values(report: Report) -> str:
    found = values(report)
    return details('The numbers of the curves',
                   table(found.title, found.header, found.rows))


def _settings(report: Report, margin: Optional[float]) -> str:
    found = summary(report)
    parts = [table(found.title, found.header, found.rows, sorts=True)]
    if report.comparisons:
        sure, notes = gains(report)
        if sure.rows:
            parts += [table(*sure, True), items(f'{n}.' for n in notes)]
        counted = report.table.counted_table()
        parts.append(details(counted.title, table(*counted)))
        if margin is not None:
            parts.append(table(*finals(report, margin)))
    return section('settings', 'Settings', *parts)


def _pictures(report: Report) -> str:
    rows, problems = pictures(report)
    inner = ''.join('<div class="pictures">' + ''.join(
        f'<figure><img src="{p.link}" width="{p.width}" '
        f'height="{p.height}" alt="{escape(f"{p.title}, of {p.group}")}">'
        f'<figcaption>{escape(p.group)}<small>{escape(p.title)}</small>'
        '</figcaption></figure>' for p in row) + '</div>' for row in rows)
    return section('pictures', 'Pictures', inner, items(problems))


def _made_with(report: Report, command: str) -> str:
    told = commands(report) + ([command] if command else [])
    inner = escape('\n'.join(told))
    about = (f'Made by mmw2s {__version__} on '
             f'{time.strftime("%Y-%m-%d %H:%M")}.')
    return section(
        'setting', 'Environment', table(*environment(report)),
        *(table(*found) for found in amendments(report)),
        f'<h3>Commands</h3><pre tabindex="0">{inner}</pre>' if told else '',
        f'<p>{about}</p>')


def _raw(report: Report) -> str:
    files = [
        download('validations.csv', _csv(report),
                 'every validation of every run')
    ]
    if report.table is not None:
        files.append(
            download('settings.json', report.table.to_json(),
                     'the comparison, to be read again by mmw2s report'))
    plain = summary(report).plain()
    files.append(
        download('summary.md', f'{plain.to_markdown()}\n',
                 'the table of settings as Markdown'))
    return section('raw', 'Raw numbers', f'<ul>{"".join(files)}</ul>')


def _csv(report: Report) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator='\n')
    units = ('epoch', 'iter', 'train_seconds', 'wall_seconds')
    writer.writerow(['setting', 'run', 'seed', *units, *report.metrics])
    named = [(g.name, run) for g in report.groups for run in g.runs]
    for name, run in named + [('teacher', run) for run in report.teachers()]:
        for row in run.history:
            writer.writerow(
                [name, run.name, run.facts.get('seed')] +
                [row.get(unit) for unit in units] +
                [row['metrics'].get(metric) for metric in report.metrics])
    return file.getvalue()
