#!/usr/bin/env python
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Compare several settings of a distillation with the same baselines."""
import argparse
from typing import Optional, Sequence

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
    parser.add_argument('--metric', help='e.g. coco/bbox_mAP')
    parser.add_argument(
        '--rule', choices=['greater', 'less'], help='which side is better')
    parser.add_argument(
        '--target',
        nargs='+',
        help="values as 0.3, or shares as 90%% of the baselines' best "
        '(median over seeds); default: 80%% 90%% 95%%')
    parser.add_argument(
        '--unit',
        choices=['epoch', 'iter'],
        default='epoch',
        help='what the way to a target is counted in (default: epoch)')
    parser.add_argument(
        '--teacher-strength',
        action='store_true',
        help="with --out: draw speed-ups against the teachers' scores")
    parser.add_argument('--out', help='folder for settings.md and .json')
    args = parser.parse_args(argv)
    if args.teacher_strength and not args.out:
        parser.error('--teacher-strength draws into a folder: name it by '
                     '--out')
    return args


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    settings = {}
    with errors_in_one_line('compare_settings.py'):
        for name, *runs in args.setting:
            if not runs:
                raise ValueError(f'--setting "{name}" names no run')
            if name in settings:
                raise ValueError(
                    f'--setting "{name}" is given twice: name all '
                    'of its runs at once')
            settings[name] = runs
        result = compare_settings(args.baseline, settings, args.target,
                                  args.metric, args.rule, args.unit)
        result.table().print()
        if args.out:
            save(result, args.out, args.teacher_strength)
            print(f'Written into {args.out}.')


if __name__ == '__main__':
    main()
