#!/usr/bin/env python
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Name the checkpoint of a run to take as the teacher of a student."""
import argparse
import sys

from mmw2s.analysis import choose_teacher


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='The run needs the TimeToTargetHook. Example: '
        'choose_teacher.py work_dirs/teacher --student-best 0.49')
    parser.add_argument(
        'run_dir', help="work_dir of the teacher's own training")
    parser.add_argument(
        '--student-best',
        type=float,
        required=True,
        help='what the student reaches at best without a teacher')
    parser.add_argument('--metric', help='e.g. coco/bbox_mAP')
    parser.add_argument(
        '--rule', choices=['greater', 'less'], help='which side is better')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        choice = choose_teacher(args.run_dir, args.student_best, args.metric,
                                args.rule)
    except (OSError, ValueError) as error:
        sys.exit(f'choose_teacher.py: {error}.')
    choice.print()
    if choice.chosen is None:
        sys.exit(1)


if __name__ == '__main__':
    main()
