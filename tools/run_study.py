# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Train the arms of a study, with controls, and tell what they show."""
import argparse
import os.path as osp
import sys
from typing import Any, Dict, Optional, Sequence

from mmengine.config import DictAction

from mmw2s.engine.hooks.stop_on_signal_hook import RunEnded
from mmw2s.records.lock import hold
from mmw2s.study import Plan, Result, Study, make_plan, run_study
from mmw2s.study.arms import TEACHER
from mmw2s.study.frozen import freeze
from mmw2s.study.run import chosen_arms
from mmw2s.study.slurm import SlurmWorkers
from mmw2s.study.workers import LocalWorkers
from mmw2s.utils.tool_errors import errors_in_one_line

TOOL = 'run_study.py'


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='A second call goes on where the first one was cut off. '
        'Example: %(prog)s my_study.py --jobs 4')
    parser.add_argument('study', help='the file of the study')
    parser.add_argument(
        '--work-dir',
        help='the folder of the study (default: ./work_dirs/STUDY)')
    parser.add_argument(
        '--jobs',
        type=int,
        metavar='N',
        help='runs at a time, each on a GPU of its own if there are any '
        '(default: 1; with Slurm 64)')
    parser.add_argument(
        '--launcher',
        choices=['none', 'slurm'],
        default='none',
        help='where the runs are trained (default: none, on this machine)')
    parser.add_argument(
        '--slurm',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='parameters of submitit, as slurm_partition=gpu timeout_min=600 '
        'gpus_per_node=1')
    parser.add_argument(
        '--only', nargs='+', default=[], metavar='ARM', help='train these')
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='show all runs and how long they may take, and train nothing')
    parser.add_argument(
        '--report',
        action='store_true',
        help='tell what the runs so far show, and train nothing')
    parser.add_argument(
        '--amend',
        metavar='WHY',
        help='go on though the study was changed; the reason is shown in '
        'every result')
    args = parser.parse_args(argv)
    if args.jobs is not None and args.jobs < 1:
        parser.error(f'--jobs should be at least 1, but got {args.jobs}')
    if args.slurm and args.launcher != 'slurm':
        parser.error('--slurm needs --launcher slurm')
    if not args.work_dir:
        name = osp.splitext(osp.basename(args.study))[0]
        args.work_dir = osp.join('work_dirs', name)
    return args


def estimated(plan: Plan, arms: Sequence[str]) -> Dict[str, float]:
    """Tell how long the runs may take, and refuse what takes too long.

    Raises:
        ValueError: If they may take longer than the study's ``budget``.
    """
    from mmw2s.study.estimate import estimate, total
    paces = {
        name: pace
        for name, pace in estimate(plan).items()
        if name == TEACHER or name in arms
    }
    for name, pace in paces.items():
        stages = [plan.teacher_run] if name == TEACHER else \
            plan.runs(name).values()
        for stage in stages:
            state = 'finished' if stage.is_done else \
                f'up to {pace.seconds:.0f} s, {pace.iters} iterations of ' \
                f'{1000 * pace.step:.0f} ms and {pace.validations} ' \
                f'validations of {pace.validation:.1f} s'
            print(f'{stage.name}: {state}, in {stage.work_dir}')
    seconds = total(plan, paces)
    print(f'In all: up to {seconds / 60:.1f} min one after another, the start '
          'of each process left out.')
    if plan.study.budget is not None and seconds > 60 * plan.study.budget:
        raise ValueError(
            f'the runs may take {seconds / 60:.1f} min, but the budget of the '
            f'study is {plan.study.budget:g}: fewer seeds or arms, or a '
            'shorter schedule (cfg_options)')
    return {name: pace.seconds for name, pace in paces.items()}


def make_workers(args: argparse.Namespace, plan: Plan) -> Any:
    if args.launcher == 'slurm':
        return SlurmWorkers(plan.path('slurm'), args.jobs or 64, **args.slurm)
    return LocalWorkers(args.jobs or 1)


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    expected = None
    with errors_in_one_line(TOOL, RuntimeError):
        plan = make_plan(Study.load(args.study), args.work_dir)
        for note in plan.notes:
            print(note)
        arms = chosen_arms(plan, args.only)
        is_new = not osp.isfile(plan.path('study.json'))
        if args.report and is_new:
            raise FileNotFoundError(f'{args.work_dir} has no study.json: '
                                    'nothing was trained there')
        if args.dry_run or (is_new and plan.study.budget is not None):
            expected = estimated(plan, arms)
            if args.dry_run:
                return
        workers = None if args.report else make_workers(args, plan)
        if workers or args.amend:
            hold(plan.path())  # a study under way goes by what was fixed
        frozen = freeze(plan, args.amend)
        for line in frozen.lines():
            print(line)
    try:
        with errors_in_one_line(TOOL, RuntimeError):
            if workers is None:
                result = Result(plan, frozen)
                result.save()
            else:
                result = run_study(plan, frozen, workers, args.only, expected)
    except RunEnded as error:
        print(
            f'\nInterrupted. The same command goes on, in {args.work_dir}.',
            file=sys.stderr)
        sys.exit(error.code)
    result.print()
    print(f'Written: {plan.path("study_result.md")}')
    if result.problems:
        sys.exit(1)


if __name__ == '__main__':
    main()
