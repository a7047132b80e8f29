# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Make a teacher, train its student, and tell what both cost."""
import argparse
import os.path as osp
import sys
from typing import Dict, Optional, Sequence

from mmengine.config import DictAction

from mmw2s.analysis.options import add_metric_options, add_target_option
from mmw2s.engine.hooks.stop_on_signal_hook import RunEnded
from mmw2s.pair import Launch, Options, Plan, make_plan, prepare, run_pair
from mmw2s.pair.options import STARTS, TEACHES
from mmw2s.pair.plan import is_planned
from mmw2s.records.operating_band import LOW
from mmw2s.utils.tool_errors import errors_in_one_line

TOOL = 'train_pair.py'


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='A second call goes on where the first one was cut off. '
        'Example: %(prog)s my_retinanet_r50.py --seeds 0 1 2 --with-baseline')
    parser.add_argument('student', help='config of the student')
    parser.add_argument(
        '--work-dir',
        help='the folder of the pair (default: ./work_dirs/STUDENT_pair)')
    parser.add_argument(
        '--seeds',
        nargs='+',
        type=int,
        default=[0],
        help='a student is trained with each of them (default: 0)')
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='show the plan and how long it may take, and train nothing')
    parser.add_argument(
        '--budget',
        type=float,
        metavar='MINUTES',
        help='begin only if all stages may be done in that time')

    teacher = parser.add_argument_group('teacher')
    teacher.add_argument(
        '--teacher',
        metavar='CONFIG',
        help='its config, or "derive": a smaller model of the student\'s '
        'family (default: the config in the student\'s hook, else "derive")')
    teacher.add_argument(
        '--teacher-checkpoint',
        metavar='FILE',
        help='its weights; then it is not trained')
    teacher.add_argument(
        '--teacher-width',
        type=float,
        metavar='FACTOR',
        help='of the channels of a derived teacher (default: 0.5, but 1 for a '
        'ResNet of 18 layers beside a deeper one with pretrained weights)')
    teacher.add_argument(
        '--teacher-scale',
        type=float,
        default=1.,
        metavar='FACTOR',
        help='train it on images of this part of their size (default: 1)')
    teacher.add_argument(
        '--teacher-length',
        type=float,
        metavar='FACTOR',
        help='part of its schedule that it is trained for at most (default: '
        'a derived one 0.5 of the student\'s, else 1)')
    teacher.add_argument(
        '--teacher-cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='override settings of its config')
    teacher.add_argument(
        '--best',
        type=float,
        metavar='SCORE',
        help='what the student reaches without a teacher, if you know it')
    teacher.add_argument(
        '--useful-at',
        type=float,
        default=LOW,
        metavar='SHARE',
        help='the teacher\'s training ends at this share of the student\'s '
        f'best (default: {LOW})')

    student = parser.add_argument_group('student')
    student.add_argument(
        '--start',
        choices=STARTS,
        default=STARTS[0],
        help='weights of the teacher that it begins with (default: the first '
        'of Grow and Inherit that fits, and Inherit for a student with '
        'pretrained weights)')
    student.add_argument(
        '--teach',
        choices=TEACHES,
        default=TEACHES[0],
        help='whether it learns the teacher\'s outputs too, or takes its '
        'weights alone (default: alone if it grows or the teacher is weak)')
    student.add_argument(
        '--student-length',
        type=float,
        default=1.,
        metavar='FACTOR',
        help='part of its schedule that it is trained for; its baseline has '
        'all of it (default: 1)')
    student.add_argument(
        '--student-lr',
        type=float,
        metavar='FACTOR',
        help='factor of its learning rate; its baseline keeps the config\'s '
        '(default: 0.5 with --teach yes if it grows by the pair\'s own start, '
        'else 1)')
    student.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='override settings of its config, before a teacher is derived')

    baseline = parser.add_argument_group('baseline')
    baseline.add_argument(
        '--with-baseline',
        action='store_true',
        help='train the student without a teacher too, first of all')
    baseline.add_argument(
        '--baseline',
        nargs='+',
        default=[],
        metavar='DIR',
        help='work_dirs in which that was done before')
    add_metric_options(baseline)
    add_target_option(baseline)

    launch = parser.add_argument_group('processes')
    launch.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm'], default='none')
    launch.add_argument(
        '--gpus', type=int, default=1, help='processes of each training')
    launch.add_argument('--partition', help='of Slurm')
    args = parser.parse_args(argv)
    if args.launcher == 'slurm' and not args.partition:
        parser.error('--launcher slurm needs --partition')
    if args.launcher == 'none' and args.gpus != 1:
        parser.error(f'--gpus {args.gpus} needs --launcher pytorch or slurm')
    if not args.work_dir:
        name = osp.splitext(osp.basename(args.student))[0]
        args.work_dir = osp.join('work_dirs', f'{name}_pair')
    return args


def estimated(plan: Plan, minutes: Optional[float],
              processes: int) -> Dict[str, float]:
    """Tell how long the stages may take, and refuse what takes too long.

    Raises:
        ValueError: If they may take longer than ``minutes``.
    """
    from mmw2s.pair.estimate import estimate
    paces = estimate(plan, processes)
    for stage in plan.stages:
        pace = paces[stage.name]
        print(f'{stage.name}: up to {pace.seconds:.0f} s, {pace.iters} '
              f'iterations of {1000 * pace.step:.0f} ms and '
              f'{pace.validations} validations of {pace.validation:.1f} s, '
              f'in {stage.work_dir}')
    total = sum(pace.seconds for pace in paces.values())
    print(f'In all: up to {total / 60:.1f} min, the start of each process '
          'left out.')
    if minutes is not None and total > 60 * minutes:
        raise ValueError(
            f'the stages may take {total / 60:.1f} min, but --budget is '
            f'{minutes:g}: fewer --seeds, a shorter schedule '
            '(--student-length), or a smaller teacher')
    return {name: pace.seconds for name, pace in paces.items()}


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    names = Options.__dataclass_fields__
    options = Options(**{
        name: value
        for name, value in vars(args).items() if name in names
    })
    launch = Launch(args.launcher, args.gpus, args.partition)
    expected = None
    with errors_in_one_line(TOOL):
        # What has begun goes on, however much time is left.
        asked = args.dry_run or (args.budget is not None
                                 and not is_planned(options))
        plan = make_plan(options) if asked else prepare(options)
        if args.dry_run and is_planned(options):
            print(f'{args.work_dir} has a pair already, which goes on as its '
                  'plan.json says. A new one would be:')
        for note in plan.notes:
            print(note)
        if asked:
            expected = estimated(plan, args.budget, args.gpus)
            if args.dry_run:
                return
            plan = prepare(options)
    try:
        with errors_in_one_line(TOOL, RuntimeError):
            budget = run_pair(plan, launch, args.target, expected)
    except RunEnded as error:
        print(
            f'\nInterrupted. The same command goes on, in {args.work_dir}.',
            file=sys.stderr)
        sys.exit(error.code)
    budget.print()
    print(f'Written: {plan.path("budget.json")}')


if __name__ == '__main__':
    main()
