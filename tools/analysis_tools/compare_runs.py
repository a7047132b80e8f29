#!/usr/bin/env python
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Tell how much sooner weak-to-strong runs reached their targets."""
import argparse
import os.path as osp
from typing import Optional, Sequence

from mmw2s.analysis import Pace, Run, compare, print_tables, save
from mmw2s.analysis.options import add_metric_options, add_target_option
from mmw2s.utils.tool_errors import errors_in_one_line


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='Runs without TimeToTargetHook are read from the logs of '
        'MMEngine, which do not tell the wall clock. Example: '
        '%(prog)s work_dirs/base_* --w2s work_dirs/w2s_* '
        '--teacher work_dirs/teacher --target 80%% 0.3 '
        '--out work_dirs/report')
    parser.add_argument(
        'baseline', nargs='+', help='work_dirs without a teacher, one a seed')
    parser.add_argument(
        '--w2s', nargs='+', required=True, help='work_dirs with a teacher')
    parser.add_argument(
        '--teacher',
        help="work_dir of the teacher's own training, to count its cost too")
    parser.add_argument(
        '--pace',
        metavar='JSON',
        help='a file of "mmw2s benchmark --out": count time as iterations '
        'times its step times, as where other jobs ran on the machine')
    add_metric_options(parser)
    add_target_option(parser)
    parser.add_argument(
        '--out', help='folder for report.md, report.json and curves.png')
    parser.add_argument(
        '--epochs-only',
        action='store_true',
        help='leave the wall clock out of curves.png, as where other jobs ran '
        'on the machine')
    parser.add_argument(
        '--names',
        nargs='+',
        help='what to call the runs: baselines first, then the others')
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    paths = args.baseline + args.w2s
    names = args.names or [None] * len(paths)
    with errors_in_one_line('compare_runs.py'):
        if len(names) != len(paths):
            raise ValueError(f'--names should give {len(paths)} names, one a '
                             f'run, but got {len(names)}')
        runs = [Run.load(*pair) for pair in zip(paths, names)]
        result = compare(runs[:len(args.baseline)], runs[len(args.baseline):],
                         args.teacher, args.target, args.metric, args.rule,
                         args.pace and Pace.load(args.pace))
        print_tables(result)
        if args.out:
            save(result, args.out, epochs_only=args.epochs_only)
            print('Written: ' + ', '.join(
                osp.join(args.out, name)
                for name in ('report.md', 'report.json', 'curves.png')))


if __name__ == '__main__':
    main()
