#!/usr/bin/env python
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Write a checkpoint of a student that starts from its teacher's weights."""
import argparse
from typing import Optional, Sequence

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from torch import nn

from mmw2s.distillation import FrozenTeacher
from mmw2s.distillation.class_matching import OtherClasses, other_classes
from mmw2s.distillation.label_names import Names, declared_names
from mmw2s.distillation.teacher_config import build_model, load_config
from mmw2s.registry import STARTS
from mmw2s.utils.files import atomic_write
from mmw2s.utils.tool_errors import errors_in_one_line


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='For a run without mmw2s: give OUT to it as load_from. The '
        'rest of the student is initialized as its config says.')
    parser.add_argument('teacher', help='config of the teacher')
    parser.add_argument('checkpoint', help='its weights, a path or URL')
    parser.add_argument('student', help='config of the student')
    parser.add_argument('out', help='file to write')
    parser.add_argument(
        '--type',
        default='Inherit',
        choices=('Inherit', 'Grow', 'Corner'),
        help='the start (default: Inherit)')
    parser.add_argument(
        '--modules',
        nargs='+',
        help='of Inherit, modules to take over (default: neck, heads, stem, '
        'equal stages)')
    parser.add_argument(
        '--other-classes',
        action='store_true',
        help='leave out what depends on the classes (default: they are '
        'matched by the names in the checkpoint and the configs)')
    parser.add_argument(
        '--seed', type=int, default=0, help='of the student (default: 0)')
    return parser.parse_args(argv)


def build_student(cfg: Config, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    student = build_model(cfg)
    # Without a log file, MMEngine prints how each single tensor begins.
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')
    try:
        student.init_weights()
    finally:
        logger.setLevel(level)
    return student


def class_names(cfg: Config) -> Names:
    """Those of the data that a config trains on, as it declares them."""
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        return declared_names(cfg.get('train_dataloader', {}).get('dataset'))


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    fields = dict(modules=args.modules) if args.modules else {}
    with errors_in_one_line('start_from.py', RuntimeError):
        teacher = FrozenTeacher(args.teacher, args.checkpoint)
        teacher.classes = teacher.classes or class_names(teacher.cfg)
        cfg = load_config(args.student)
        student = build_student(cfg, args.seed)
        others = OtherClasses('they are said to be') if args.other_classes \
            else other_classes(teacher, class_names(cfg))
        start = STARTS.build(dict(type=args.type, **fields))
        started = start.apply(student, teacher, others)
        with atomic_write(args.out, binary=True) as file:
            torch.save(dict(state_dict=student.state_dict()), file)
    print(f'{args.out}: {started}.')


if __name__ == '__main__':
    main()
