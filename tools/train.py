# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Train a model, with a weak teacher or without."""
import argparse
import os
import os.path as osp
import sys
from glob import escape, glob
from typing import Optional, Sequence

from mmengine.config import Config, DictAction

from mmw2s.engine.checkpoints import find_resumable, has_last_checkpoint
from mmw2s.engine.hooks.stop_on_signal_hook import RunEnded, end_at_once
from mmw2s.engine.launch import (build_runner, check_checkpoint, enable_amp,
                                 load_config, remove_distillation,
                                 setup_launcher, shut_down_processes,
                                 stop_on_signals)
from mmw2s.utils.heap import keep_freed_memory
from mmw2s.utils.tool_errors import errors_in_one_line


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'config',
        help='a config file, or the name of one of mmw2s or of a package '
        '(mmdet::...)')
    parser.add_argument(
        '--work-dir',
        help='where logs and checkpoints go '
        '(default: ./work_dirs/CONFIG)')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='PATH',
        help='go on from this checkpoint; without a path, or with "auto", '
        'from the latest one in the work_dir')
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: float16 on a GPU, bfloat16 on a CPU')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the batch size')
    parser.add_argument(
        '--no-distill',
        action='store_true',
        help='remove every WeakTeacherDistillHook: the exact baseline of the '
        'config, in a work_dir of its own')
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='one batch through everything, print what happens, and exit')
    parser.add_argument(
        '--stop-on',
        nargs='*',
        default=['SIGTERM'],
        metavar='SIGNAL',
        help='signals at which the run ends after its step, with a '
        'checkpoint (default: SIGTERM; none: without any)')
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
    if args.dry_run and args.launcher != 'none':
        parser.error('--dry-run runs in one process: leave --launcher out, '
                     f'but got "{args.launcher}"')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def prepare_config(args: argparse.Namespace) -> Config:
    """The config of the run, with the command line applied to it."""
    cfg = load_config(args.config, args.cfg_options)
    if args.no_distill:
        remove_distillation(cfg)
    if args.amp:
        enable_amp(cfg)
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ValueError('--auto-scale-lr needs auto_scale_lr.'
                             'base_batch_size in the config')
        cfg.auto_scale_lr.enable = True

    if args.work_dir:
        cfg.work_dir = args.work_dir
    else:
        if not cfg.get('work_dir'):
            name = osp.splitext(osp.basename(args.config))[0]
            cfg.work_dir = osp.join('./work_dirs', name)
        if args.no_distill:
            # Or the baseline would resume from the run it is compared with.
            cfg.work_dir = cfg.work_dir.rstrip('/') + '_baseline'

    if args.resume:
        if args.resume != 'auto':
            check_checkpoint(args.resume)
            cfg.resume, cfg.load_from = True, args.resume
        else:
            found = find_resumable(cfg.work_dir)
            if found or has_last_checkpoint(cfg.work_dir):
                cfg.resume, cfg.load_from = True, found
            # Else the run begins, with the weights that its config names.
    return cfg


def exit_code(error: Optional[BaseException]) -> Optional[int]:
    """The exit code after Ctrl-C or a signal, None for another error.

    Inside a write of a checkpoint, torch raises an error of its own for it.
    """
    while error is not None:
        if isinstance(error, RunEnded):
            return error.code
        if isinstance(error, KeyboardInterrupt):
            return 130
        error = error.__cause__ or error.__context__
    return None


def say_how_to_resume(cfg: Config) -> None:
    if osp.isfile(osp.join(cfg.work_dir, 'last_checkpoint')) or \
            glob(osp.join(escape(cfg.work_dir), '*.pth')):
        message = ('Run the same command with --resume to go on from the '
                   f'latest checkpoint in {cfg.work_dir}.')
    else:
        message = f'No checkpoint has been written to {cfg.work_dir} yet.'
    print(f'\nInterrupted. {message}', file=sys.stderr)


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    with errors_in_one_line('train.py'):
        cfg = prepare_config(args)
        end_at_once(args.stop_on)
    if args.dry_run:
        from mmw2s.profiling.dry_run import dry_run
        with errors_in_one_line('train.py'):
            dry_run(cfg)
        return
    keep_freed_memory()
    try:
        setup_launcher(cfg, args.launcher)
        runner = build_runner(cfg)
        stop_on_signals(runner, args.stop_on)
        runner.train()
    except BaseException as error:
        code = exit_code(error)
        if code is None:
            raise
        told = getattr(error, 'told', False)
        if int(os.environ.get('RANK', 0)) == 0 and not told:
            say_how_to_resume(cfg)
        sys.exit(code)
    finally:
        shut_down_processes()


if __name__ == '__main__':
    main()
