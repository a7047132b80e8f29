#!/usr/bin/env python
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Try starts on one GPU in ten minutes, each beside its baseline."""
import argparse
import json
import os
import os.path as osp
import shlex
import shutil
import subprocess
import sys
import time
from typing import Any, Dict, Optional, Sequence

import torch

from mmw2s.analysis.settings import compare_settings
from mmw2s.analysis.start_pairs import ARMS, PAIRS, missing, write_config
from mmw2s.cli import tools_root
from mmw2s.pair.stages import own_environment
from mmw2s.records.files import EVENTS, FILENAME, read_record, read_rows
from mmw2s.utils.files import atomic_write
from mmw2s.utils.tool_errors import errors_in_one_line

VALIDATIONS = 8  # of each run
PROBE = 25  # steps to each of the two validations that measure the speed
# Steps of a pair, in those of a baseline: four students, a teacher of half
# their length, and a margin for the distillation and an uneven clock.
STEPS = 4.5 * 1.2


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='A second call goes on where the first one was cut off. To '
        'begin anew, move the folder away.')
    parser.add_argument(
        '--only',
        nargs='+',
        choices=list(PAIRS),
        default=list(PAIRS),
        help='these pairs alone: each then has more of the time')
    parser.add_argument(
        '--budget',
        type=float,
        default=10.,
        metavar='MINUTES',
        help='for all runs together (default: 10)')
    parser.add_argument(
        '--out',
        default='work_dirs/start_on_gpu',
        help='the folder (default: work_dirs/start_on_gpu)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--tiny',
        action='store_true',
        help='a rehearsal, on a CPU too: tiny models, four iterations a run')
    args = parser.parse_args(argv)
    args.given = list(sys.argv[1:] if argv is None else argv)
    return args


def iterations(seconds: float, probe: Dict[str, float]) -> int:
    """How many iterations a student may have.

    Args:
        seconds (float): For all runs of the pair.
        probe (dict): Seconds of the ``start_up`` of a run, of a ``step`` and
            of a ``validation``.

    Raises:
        ValueError: If there is no time for ten steps before a validation.
    """
    # A student that distills scores its teacher too.
    fixed = (1 + len(ARMS)) * (
        probe['start_up'] + (VALIDATIONS + 1) * probe['validation'])
    a_step = STEPS * probe['step'] * VALIDATIONS
    every = int((seconds - fixed) / a_step)
    if every < 10:
        raise ValueError(
            f'the runs have {seconds:.0f} s, but need '
            f'{fixed + 10 * a_step:.0f} s for ten steps before each of '
            f'{VALIDATIONS} validations: raise --budget, or name fewer pairs '
            'with --only')
    return every * VALIDATIONS


class Trial:
    """The runs of one pair, in one folder.

    Args:
        name (str): The pair.
        args (Namespace): The command line.
    """

    def __init__(self, name: str, args: argparse.Namespace) -> None:
        self.name, self.args = name, args
        self.folder = osp.join(args.out, name)
        self.runs: Dict[str, Dict[str, Any]] = {}
        self.comparison: Optional[dict] = None
        self.problem: Optional[str] = None
        os.makedirs(self.folder, exist_ok=True)

    def run_all(self, seconds: float) -> None:
        """Train the teacher and all arms in about so many seconds.

        Raises:
            ValueError: If that is too short, or the baseline does not run.
        """
        iters = self._planned(seconds)
        every = max(iters // VALIDATIONS, 2)
        self._train('teacher', iters // 2, every // 2)
        if 'failed' not in self.runs['teacher']:
            for arm in ARMS:
                self._train(arm, iters, every)

    def _planned(self, seconds: float) -> int:
        """The iterations of a student, as an earlier call has found them."""
        path = osp.join(self.folder, 'plan.json')
        of = dict(tiny=self.args.tiny, seed=self.args.seed)
        if not osp.exists(path):
            plan = dict(iters=4) if self.args.tiny else self._measure(seconds)
            with atomic_write(path) as file:
                json.dump(dict(plan, **of), file)
        with open(path) as file:
            plan = json.load(file)
        if not of.items() <= plan.items():
            raise ValueError(
                f'{self.folder} has the runs of another call, with '
                f'tiny={plan["tiny"]} and seed={plan["seed"]}: name another '
                'folder with --out')
        return plan['iters']

    def _measure(self, seconds: float) -> dict:
        """How long a baseline takes, and so how long the runs may be."""
        shutil.rmtree(osp.join(self.folder, 'probe'), ignore_errors=True)
        began = time.monotonic()
        self._train('probe', 2 * PROBE, PROBE)
        took = time.monotonic() - began
        run = self.runs.pop('probe')
        if 'failed' in run:
            raise ValueError(f'the baseline does not run: {run["failed"]}')
        first, last = _read(run['folder'])['history']
        step = (last['train_seconds'] - first['train_seconds']) / PROBE
        validation = (last['wall_seconds'] - last['train_seconds']) / 2
        probe = dict(
            step=step,
            validation=validation,
            start_up=took - 2 * (PROBE * step + validation))
        return dict(probe, iters=iterations(seconds - took, probe))

    def _train(self, arm: str, iters: int, every: int) -> None:
        """Train an arm, unless it is finished."""
        folder = osp.join(self.folder, arm)
        teacher = self.runs.get('teacher', {}).get('checkpoint')
        config = write_config(self.name, arm, self.folder, iters, every,
                              self.args.seed, teacher, self.args.tiny)
        command = [str(tools_root() / 'train.py'), config]
        command += ['--work-dir', folder, '--resume', 'auto']
        if arm in ('baseline', 'probe'):
            command.append('--no-distill')
        run = self.runs[arm] = dict(
            command=shlex.join(['python', *command]),
            folder=folder,
            iters=iters,
            checkpoint=osp.abspath(osp.join(folder, f'iter_{iters}.pth')))
        if _read(folder).get('finished'):
            return
        print(f'{self.name}: {arm}, {iters} iterations', flush=True)
        with open(f'{folder}.log', 'w') as log:
            done = subprocess.run([sys.executable, *command],
                                  stdout=log,
                                  stderr=subprocess.STDOUT,
                                  env=own_environment())
        if done.returncode:
            run['failed'] = _last_line(f'{folder}.log')
            print(f'  failed: {run["failed"]}\n  ({folder}.log has all of it)')

    def report(self) -> str:
        """What became of the runs, as Markdown; fills ``comparison``."""
        lines = [f'## {self.name}', '']
        if self.problem:
            lines += [f'**Stopped**: {self.problem}.', '']
        good = {
            arm: [run['folder']]
            for arm, run in self.runs.items() if 'failed' not in run
        }
        good.pop('teacher', None)
        try:
            table = compare_settings(
                good.pop('baseline', []), good, unit='iter')
            self.comparison = json.loads(table.to_json())
            lines.append(f'##{table.to_markdown()}')
        except (FileNotFoundError, ValueError) as error:
            lines += [f'Nothing is compared: {error}.', '']
        for arm, run in self.runs.items():
            lines.append(f'- {arm}: `{run["command"]}`')
            for row in read_rows(osp.join(run['folder'], EVENTS)):
                if row['event'] == 'start':
                    run['share'] = row['share']
                    lines.append(f'  begins with {row["share"]:.1%} of its '
                                 'parameters from the teacher')
            if 'failed' in run:
                lines.append(f'  **failed**: {run["failed"]}')
        return '\n'.join(lines)


def save(trials: Sequence[Trial], args: argparse.Namespace) -> bool:
    """Write ``results.md`` and ``results.json``; whether all runs ended."""
    facts = next((facts for trial in trials for run in trial.runs.values()
                  for facts in [_read(run['folder']).get('run')] if facts), {})
    setting = dict(
        devices=facts.get('devices'),
        versions=facts.get('versions'),
        python=sys.version.split()[0],
        command=shlex.join(['mmw2s', 'start-on-gpu', *args.given]),
        tiny=args.tiny,
        seed=args.seed,
        budget_minutes=args.budget)
    text = '\n\n'.join([
        '# Starts, tried', '\n'.join(
            f'- {k}: {v}' for k, v in setting.items()), *(trial.report()
                                                          for trial in trials)
    ]) + '\n'
    failed = [
        trial for trial in trials
        if trial.problem or any('failed' in r for r in trial.runs.values())
    ]
    pairs = {
        trial.name:
        dict(
            problem=trial.problem,
            runs=trial.runs,
            comparison=trial.comparison)
        for trial in trials
    }
    with atomic_write(osp.join(args.out, 'results.md')) as file:
        file.write(text)
    with atomic_write(osp.join(args.out, 'results.json')) as file:
        json.dump(dict(setting, pairs=pairs), file, indent=1)
    print(f'{text}\nWritten into {args.out}: results.md, results.json')
    return not failed


def _read(folder: str) -> dict:
    """What TimeToTargetHook has written; empty if nothing."""
    path = osp.join(folder, FILENAME)
    return read_record(path) if osp.exists(path) else {}


def _last_line(path: str) -> str:
    """The last line that says something: of an error, its message."""
    with open(path, errors='replace') as file:
        lines = [line.strip() for line in file if line.strip()]
    return lines[-1] if lines else 'it said nothing'


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    end = time.monotonic() + 60 * args.budget
    with errors_in_one_line('start_on_gpu.py'):
        if not (args.tiny or torch.cuda.is_available()):
            raise ValueError('there is no GPU that torch can use; --tiny '
                             'rehearses on a CPU')
        lacks = [text for name in args.only for text in missing(name)]
        if lacks:
            raise FileNotFoundError('; '.join(dict.fromkeys(lacks)) +
                                    ' (or name the other pairs with --only)')
    trials = [Trial(name, args) for name in args.only]
    for done, trial in enumerate(trials):
        try:
            trial.run_all((end - time.monotonic()) / (len(trials) - done))
        except ValueError as error:
            trial.problem = str(error)
            print(f'{trial.name}: {error}')
    sys.exit(not save(trials, args))


if __name__ == '__main__':
    main()
