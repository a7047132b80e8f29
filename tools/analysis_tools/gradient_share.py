#!/usr/bin/env python
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""How strongly the distillation pulls beside the task, by kind of model."""
import argparse
import logging
from typing import Optional, Sequence

from mmengine.logging import MMLogger

from mmw2s.profiling import KINDS, table
from mmw2s.utils.tool_errors import errors_in_one_line


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='Prints a table of Markdown: the norm of the distillation\'s '
        'gradient over that of the task\'s, at the parameters outside the '
        'backbone, of models at random. At 1 it pulls as much as the task.')
    parser.add_argument(
        'configs',
        nargs='*',
        default=KINDS,
        help='of students (default: one of every kind of head)')
    parser.add_argument('--iters', type=int, default=5, help='(default: 5)')
    parser.add_argument(
        '--size', type=int, default=256, help='of images (default: 256)')
    parser.add_argument(
        '--batch', type=int, default=2, help='images a step (default: 2)')
    parser.add_argument('--seed', type=int, default=0, help='(default: 0)')
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)
    fields = {k: v for k, v in vars(args).items() if k != 'configs'}
    with errors_in_one_line('gradient_share.py'):
        for line in table(args.configs, **fields):
            print(line, flush=True)


if __name__ == '__main__':
    main()
