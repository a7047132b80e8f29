#!/usr/bin/env python
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Compare several settings of a distillation with the same baselines."""
import argparse
from typing import Optional, Sequence

from mmw2s.analysis import Pace
from mmw2s.analysis.options import (add_metric_options, add_target_option,
                                    by_setting, named_settings)
from mmw2s.analysis.settings import compare_settings, save
from mmw2s.utils.tool_errors import errors_in_one_line


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='Example: %(prog)s work_dirs/base_s* '
        '--setting "features only" work_dirs/feat_s* '
        '--setting "logits only" work_dirs/logits_s* --out work_dirs/report')
    parser.add_argument(
        'baseline', nargs='+', help='work_dirs without a teacher, one a seed')
    parser.add_argument(
        '--setting',
        nargs='+',
        action='append',
        required=True,
        metavar=('NAME', 'RUN'),
        help='a name and the work_dirs of its runs; give it once a setting')
    add_metric_options(parser)
    add_target_option(parser)
    parser.add_argument(
        '--unit',
        choices=['epoch', 'iter'],
        default='epoch',
        help='what the way to a target is counted in (default: epoch)')
    parser.add_argument(
        '--teacher-strength',
        action='store_true',
        help="with --out: draw speed-ups against the teachers' scores")
    parser.add_argument(
        '--teacher',
        nargs='+',
        action='append',
        default=[],
        metavar=('RUN', 'SETTING'),
        help="work_dir of a teacher's own training, to count its cost too, "
        'and the settings that had it (default: all that have a teacher on '
        'record); give it once a teacher')
    parser.add_argument(
        '--pace',
        nargs='+',
        action='append',
        default=[],
        metavar=('JSON', 'SETTING'),
        help='a file of "mmw2s benchmark --out": count time as iterations '
        'times its step times, as where other jobs ran on the machine; and '
        'the settings that it is for (default: all others)')
    parser.add_argument(
        '--curves',
        action='store_true',
        help='with --out: draw the curves of all settings in one figure')
    parser.add_argument(
        '--epochs-only',
        action='store_true',
        help='leave the wall clock out of curves.png')
    parser.add_argument('--out', help='folder for settings.md and .json')
    args = parser.parse_args(argv)
    for option in ('teacher_strength', 'curves'):
        if getattr(args, option) and not args.out:
            parser.error(f'--{option.replace("_", "-")} draws into a folder: '
                         'name it by --out')
    return args


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    with errors_in_one_line('compare_settings.py'):
        paces = by_setting(args.pace, '--pace')
        result = compare_settings(
            args.baseline,
            named_settings(args.setting),
            args.target,
            args.metric,
            args.rule,
            args.unit,
            teacher=by_setting(args.teacher, '--teacher'),
            pace={
                name: Pace.load(path)
                for name, path in paces.items()
            })
        result.table().print()
        result.counted_table().print()
        if args.out:
            save(result, args.out, args.teacher_strength, args.curves,
                 args.epochs_only)
            print(f'Written into {args.out}.')


if __name__ == '__main__':
    main()
