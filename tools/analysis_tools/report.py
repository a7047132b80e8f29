#!/usr/bin/env python
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Write a page, figures and tables on runs, from their work_dirs."""
import argparse
import os
import os.path as osp
import shlex
import sys
from typing import Optional, Sequence

from mmw2s import report as reports
from mmw2s.analysis.options import (add_metric_options, add_target_option,
                                    by_setting, named_settings)
from mmw2s.report.groups import is_run
from mmw2s.utils.fields import check_number
from mmw2s.utils.tool_errors import errors_in_one_line


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='Runs whose names differ by their seed are one setting. '
        'Example: %(prog)s work_dirs/base_s* work_dirs/w2s_s* '
        '--teacher work_dirs/teacher --out report.html')
    parser.add_argument(
        'paths',
        nargs='+',
        metavar='DIR',
        help='work_dirs; folders that hold some, as of a study or a pair; '
        'settings.json or report.json of earlier comparisons; step_cost.json')
    parser.add_argument(
        '--out', default='report.html', help='the page (default: %(default)s)')
    parser.add_argument('--title', help='default: the name of the folder')
    parser.add_argument(
        '--setting',
        nargs='+',
        action='append',
        default=[],
        metavar=('NAME', 'DIR'),
        help='a name and the work_dirs of its runs; give it once a setting. '
        'The others are then the baselines')
    parser.add_argument(
        '--teacher',
        nargs='+',
        action='append',
        default=[],
        metavar=('DIR', 'SETTING'),
        help="work_dir of a teacher's own training, to count its cost too, "
        'and the settings that had it (default: all that have a teacher on '
        'record)')
    add_metric_options(parser)
    add_target_option(parser)
    parser.add_argument(
        '--margin',
        type=float,
        help='by how much the final metric may be worse; the page says '
        'whether that holds (default: that of the study, if it is one)')
    parser.add_argument(
        '--still',
        action='store_true',
        help='no code in the page: still pictures, a quarter of the size')
    papers = parser.add_argument_group('for papers')
    papers.add_argument(
        '--figure', metavar='CURVES.pdf', help='curves as .pdf or .svg')
    papers.add_argument(
        '--columns',
        type=int,
        choices=[1, 2],
        default=2,
        help='width of figure and LaTeX table (default: %(default)s)')
    papers.add_argument(
        '--latex', metavar='TABLE.tex', help='the settings, for booktabs')
    papers.add_argument('--markdown', metavar='TABLE.md', help='the settings')
    trackers = parser.add_argument_group('trackers')
    trackers.add_argument(
        '--mlflow', action='store_true', help='log all of it to MLflow')
    trackers.add_argument(
        '--wandb',
        action='store_true',
        help='log all of it to Weights & Biases')
    return parser.parse_args(argv)


def title_of(args: argparse.Namespace) -> str:
    if args.title:
        return args.title
    path = osp.abspath(args.paths[0])
    if osp.isfile(path) or len(args.paths) > 1 and is_run(path):
        path = osp.dirname(path)
    return osp.basename(path)


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    given = sys.argv[1:] if argv is None else argv
    with errors_in_one_line('report.py'):
        if args.margin is not None:
            check_number('--margin', args.margin, at_least=0)
        material = reports.gather(args.paths, named_settings(args.setting),
                                  by_setting(args.teacher, '--teacher'))
        asked = material.asked()
        if args.metric not in (None, asked.get('metric')):
            asked = {}  # rule, targets and margin are of the other metric
        report = reports.make_report(material, title_of(args), args.target
                                     or asked.get('targets'), args.metric
                                     or asked.get('metric'), args.rule
                                     or asked.get('rule'))
        margin = args.margin if args.margin is not None else \
            asked.get('margin')
        written = [args.out]
        for path in (args.out, args.figure, args.latex, args.markdown):
            os.makedirs(osp.dirname(osp.abspath(path or '.')), exist_ok=True)
        if args.figure:
            reports.write_figure(report, args.figure, args.columns)
            written.append(args.figure)
        if args.latex:
            reports.write_latex(report, args.latex, args.columns)
            written.append(args.latex)
        if args.markdown:
            reports.write_markdown(report, args.markdown)
            written.append(args.markdown)
        # Last: it needs a package that the others do not.
        reports.write_page(report, args.out, margin,
                           f'mmw2s report {shlex.join(given)}', not args.still)
        if args.mlflow:
            reports.log_to_mlflow(report, args.out)
        if args.wandb:
            reports.log_to_wandb(report, args.out)
        print(f'Written: {", ".join(written)}.')


if __name__ == '__main__':
    main()
