#!/usr/bin/env python
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Name the checkpoint of a run to take as the teacher of a student."""
import argparse
import sys
from typing import Optional, Sequence

from mmw2s.analysis import choose_teacher
from mmw2s.analysis.options import add_metric_options
from mmw2s.utils.tool_errors import errors_in_one_line


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='A run without TimeToTargetHook is read from the logs of '
        'MMEngine. Example: '
        '%(prog)s work_dirs/teacher --student-best 0.49')
    parser.add_argument(
        'run_dir', help="work_dir of the teacher's own training")
    parser.add_argument(
        '--student-best',
        type=float,
        required=True,
        help='what the student reaches at best without a teacher')
    add_metric_options(parser)
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    with errors_in_one_line('choose_teacher.py'):
        choice = choose_teacher(args.run_dir, args.student_best, args.metric,
                                args.rule)
    choice.print()
    if choice.chosen is None:
        sys.exit(1)


if __name__ == '__main__':
    main()
