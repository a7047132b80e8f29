#!/usr/bin/env python
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Measure what distilling costs a training step, on and after the stop."""
import argparse
import os
import os.path as osp
from typing import Optional, Sequence

from mmengine.config import DictAction

from mmw2s.engine.launch import enable_amp, load_config
from mmw2s.profiling.benchmark import benchmark
from mmw2s.utils.heap import keep_freed_memory
from mmw2s.utils.tool_errors import errors_in_one_line, fail


class _AnotherDict(DictAction):
    """Each time that the option is given, a dict more."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        # The base class adds to the dict that it finds.
        given = argparse.Namespace()
        super().__call__(parser, given, values, option_string)
        setattr(namespace, self.dest,
                [*getattr(namespace, self.dest),
                 getattr(given, self.dest)])


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog='Nothing is written into the work_dir.')
    parser.add_argument(
        'config',
        help='a config file, or the name of one of mmw2s or of a package '
        '(mmdet::...)')
    parser.add_argument(
        '--steps',
        type=int,
        default=50,
        help='steps of each mode that count (default: 50)')
    parser.add_argument(
        '--teacher-config',
        help='the config that the teacher is trained with: measure a step of '
        'its own training too, as "mmw2s compare --pace --teacher" needs it')
    parser.add_argument(
        '--teacher-option',
        nargs='+',
        action=_AnotherDict,
        default=[],
        metavar='KEY=VALUE',
        help="fields of the hook's teacher, such as fuse=True: measure the "
        'distilling run with them too; may be given several times')
    parser.add_argument(
        '--out', help='JSON file for every single time, versions and hardware')
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: float16 on a GPU, bfloat16 on a CPU')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help="override settings of the student's config")
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    with errors_in_one_line('benchmark.py'):
        cfg = load_config(args.config, args.cfg_options)
        teacher = args.teacher_config and load_config(args.teacher_config)
        if args.amp:
            for each in filter(None, (cfg, teacher)):
                enable_amp(each)
        if args.out:  # before any work is done that could be lost
            os.makedirs(osp.dirname(osp.abspath(args.out)), exist_ok=True)
        keep_freed_memory()  # as tools/train.py does
        result = benchmark(cfg, args.steps, teacher, args.teacher_option)
    result.print()
    if args.out:
        with open(args.out, 'w', encoding='utf-8') as file:
            file.write(result.to_json())
        print(f'Written: {args.out}')
    if result.teacher_parts_left:
        fail('benchmark.py', 'the teacher is not gone after the stop')


if __name__ == '__main__':
    main()
