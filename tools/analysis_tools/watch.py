#!/usr/bin/env python
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Follow runs while they train, here or elsewhere, from their work_dirs."""
import argparse
from typing import Optional, Sequence

from mmw2s.utils.fields import check_number
from mmw2s.utils.tool_errors import errors_in_one_line
from mmw2s.watch import follow


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='It ends when all runs have finished or failed. In a terminal '
        'it shows a table; elsewhere it prints a line for each new fact. '
        'Example: %(prog)s work_dirs --html work_dirs/watch.html')
    parser.add_argument(
        'folders',
        nargs='+',
        metavar='DIR',
        help='work_dirs, or folders of work_dirs; they may appear later')
    parser.add_argument(
        '--html',
        metavar='PAGE.html',
        help='write a page too, which a browser shows and reloads')
    parser.add_argument(
        '--every',
        type=float,
        default=2.,
        metavar='SECONDS',
        help='time from one look to the next (default: %(default)s)')
    parser.add_argument(
        '--once', action='store_true', help='look once, and leave')
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    with errors_in_one_line('watch.py'):
        check_number('--every', args.every, above=0)
        follow(args.folders, args.html, args.every, args.once)


if __name__ == '__main__':
    main()
