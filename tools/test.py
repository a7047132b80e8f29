# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Test a checkpoint and evaluate it."""
import argparse
import os
import os.path as osp
import sys
from typing import Optional, Sequence

from mmengine.config import Config, DictAction
from mmengine.evaluator import DumpResults

from mmw2s.engine.launch import (build_runner, check_checkpoint, load_config,
                                 setup_launcher, shut_down_processes)
from mmw2s.utils.tool_errors import errors_in_one_line


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'config',
        help='a config file, or the name of one of mmw2s or of a package '
        '(mmdet::...)')
    parser.add_argument('checkpoint', help='a checkpoint file')
    parser.add_argument(
        '--work-dir',
        help='where the metrics go '
        '(default: ./work_dirs/CONFIG)')
    parser.add_argument(
        '--out', metavar='FILE.pkl', help='write the predictions to this file')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, as in key="[a,b]" or '
        'a.b.c=value; no white space inside a value')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher')
    # Given by old launchers; the runner reads the environment variable.
    parser.add_argument(
        '--local_rank',
        '--local-rank',
        type=int,
        default=0,
        help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        parser.error('--out should end with .pkl or .pickle, '
                     f'but got "{args.out}"')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def prepare_config(args: argparse.Namespace) -> Config:
    """The config of the run, with the command line applied to it."""
    cfg = load_config(args.config, args.cfg_options)
    check_checkpoint(args.checkpoint)
    cfg.load_from = args.checkpoint
    cfg.resume = False
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif not cfg.get('work_dir'):
        name = osp.splitext(osp.basename(args.config))[0]
        cfg.work_dir = osp.join('./work_dirs', name)
    return cfg


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    with errors_in_one_line('test.py'):
        cfg = prepare_config(args)
    try:
        setup_launcher(cfg, args.launcher)
        runner = build_runner(cfg)
        if args.out:
            runner.test_evaluator.metrics.append(
                DumpResults(out_file_path=args.out))
        runner.test()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        shut_down_processes()


if __name__ == '__main__':
    main()
