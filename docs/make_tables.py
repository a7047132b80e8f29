# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Write the tables of the result pages from the report files beside them.

``python docs/make_tables.py`` writes what stands in ``docs/results/*.md``
between ``<!-- table: FILE -->`` and ``<!-- end -->``. A folder instead of a
file has the benchmarks of several configs.
With ``--check`` it changes nothing and fails if a table is not up to date.
"""
import argparse
import json
import re
import sys
from pathlib import Path
from typing import Dict, List, Optional

from mmw2s.analysis import Comparison, Run, compare
from mmw2s.analysis.settings import SettingsTable

RESULTS = Path(__file__).resolve().parent / 'results'
PLACE = re.compile(
    r'(?P<begin><!-- table: (?P<file>\S+)(?: by (?P<unit>\w+))? -->\n)'
    r'.*?(?P<end><!-- end -->)', re.S)


def read_runs(rows: List[dict], report: dict) -> List[Run]:
    """The runs that a report holds.

    Args:
        rows (list[dict]): ``baselines`` or ``w2s`` of a report.
        report (dict): The report, for the teacher's score.
    """
    runs = []
    for row in rows:
        events = [row['switch_off']] if row['switch_off'] else []
        if report['teacher_score'] is not None:
            events.append(
                dict(
                    event='teacher',
                    metric=report['metric'],
                    score=report['teacher_score']))
        runs.append(
            Run(row['name'], row['history'], row['facts'], events=events))
    return runs


def comparisons(content: dict) -> Dict[str, Comparison]:
    """The comparisons that a ``settings.json`` or a ``report.json`` holds.

    Args:
        content (dict): The file, as ``mmw2s compare`` or ``compare-settings``
            wrote it.

    Returns:
        dict: Name of the setting ('default' in a report) -> comparison.
    """
    compared = {}
    for name, report in settings_of(content).items():
        shares = [
            re.search(r'\((.*) of baseline\)', t['label'])
            for t in report['targets']
        ]
        teacher = report['teacher']
        compared[name] = compare(
            [
                Run(row['name'], row['history'], row['facts'])
                for row in content['baselines']
            ],
            read_runs(report['w2s'], report),
            Run(teacher['name'], teacher['history'], teacher['facts'])
            if teacher else None,
            targets=[
                share[1] if share else t['value']
                for t, share in zip(report['targets'], shares)
            ],
            metric=report['metric'],
            rule=report['rule'])
    return compared


def settings_of(content: dict) -> Dict[str, dict]:
    """The reports in a ``settings.json``, or the one that the file is."""
    return content.get('settings') or {'default': content}


def table(path: Path, unit: str = 'epoch') -> str:
    """The table of a file, as Markdown.

    Args:
        path (Path): A ``settings.json`` or a ``report.json``, or what
            ``tests/every_algorithm.py --out`` has written.
        unit (str): ``'epoch'`` or ``'iter'``. Defaults to ``'epoch'``.
    """
    content = json.loads(path.read_text())
    if 'algorithms' in content:
        return zoo_table(content)
    compared, settings = comparisons(content), settings_of(content)
    shown = SettingsTable(compared, unit).table()
    # The spread over the seeds belongs beside the median.
    column = shown.header.index('best')
    sides = [content['baselines'], *(r['w2s'] for r in settings.values())]
    for cells, runs in zip(shown.rows, sides):
        best = [run['best'] for run in runs]
        if len(best) > 1:
            cells[column] += f' ({min(best):.4g}-{max(best):.4g})'
    return f'{shown.title}.\n\n{shown.to_markdown()}\n'


def cost_table(folder: Path) -> str:
    """What benchmarks have counted and measured, as Markdown.

    Args:
        folder (Path): Has a file of ``mmw2s benchmark --out`` for each row.
    """
    rows = [
        '| what | images | student\'s step | teacher\'s forward | counted | '
        'measured | distilling |', '|---|---|---|---|---|---|---|'
    ]
    for path in sorted(folder.glob('*.json')):
        found = json.loads(path.read_text())
        modes, ratios = found['modes'], found['ratios']
        student, both = (
            modes[name]['gmacs']
            for name in ('baseline', 'baseline + teacher forward'))
        shapes = ', '.join(' x '.join(map(str, shape))
                           for shape in found['facts']['batch_shapes'])
        measured, distilling = (
            '{median:.3f} ({low:.3f}-{high:.3f})'.format(**ratios[name])
            for name in ('baseline + teacher forward / baseline',
                         'distillation on / baseline'))
        rows.append(f'| {path.stem.replace("_", " ")} | {shapes} | '
                    f'{student:.3g} G | {both - student:.3g} G | '
                    f'{both / student:.3f} | {measured} | {distilling} |')
    if len(rows) == 2:
        return 'No records yet.\n'
    return '\n'.join(rows) + '\n'


def zoo_table(content: dict) -> str:
    """What ``teacher=`` alone does for each algorithm, as Markdown.

    Args:
        content (dict): What ``tests/every_algorithm.py --out`` has written.
    """
    versions = ', '.join(f'{name} {version}'
                         for name, version in content['versions'].items())
    counts = ', '.join(f'{count} {said}'
                       for said, count in sorted(content['counts'].items()))
    rows = [
        f'{counts}. {versions}.', '', '| config | model | what happened |',
        '|---|---|---|'
    ]
    for row in sorted(content['algorithms'], key=lambda row: row['config']):
        said = row['said'].replace('|', '\\|')
        rows.append(f'| `{row["config"]}` | {row["kind"]} | {said} |')
    return '\n'.join(rows) + '\n'


def fill(text: str) -> str:
    """A page with its tables as the report files have them."""
    return PLACE.sub(
        lambda m: m['begin'] + _table_at(m['file'], m['unit']) + m['end'],
        text)


def _table_at(place: str, unit: Optional[str]) -> str:
    path = RESULTS / place
    return table(path, unit
                 or 'epoch') if path.suffix == '.json' else cost_table(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--check', action='store_true', help='fail instead of writing')
    check = parser.parse_args().check
    old = []
    for path in sorted(RESULTS.glob('*.md')):
        text = path.read_text()
        filled = fill(text)
        if filled != text:
            old.append(path.name)
            if not check:
                path.write_text(filled)
    if check and old:
        sys.exit(f'{", ".join(old)}: run python docs/make_tables.py')


if __name__ == '__main__':
    main()
