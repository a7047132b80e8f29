# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Several processes of one run, on this machine, by gloo."""
import os
import os.path as osp
import socket
import subprocess
import sys
from typing import Dict, List, Tuple

HELPERS = osp.dirname(osp.abspath(__file__))
TESTS = osp.dirname(HELPERS)
ROOT = osp.dirname(TESTS)
TIMEOUT = 600


def environment(rank: int = 0, ranks: int = 1) -> Dict[str, str]:
    """What torchrun tells each of its processes, with a port that is free."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    return dict(
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
        WORLD_SIZE=str(ranks),
        RANK=str(rank),
        LOCAL_RANK=str(rank))


def run_ranks(script: str, *args: str, ranks: int = 2) \
        -> List[Tuple[int, str]]:
    """Run a script as so many ranks; their exit codes and what they print."""
    env = dict(
        os.environ,
        **environment(ranks=ranks),
        OMP_NUM_THREADS='1',
        PYTHONPATH=os.pathsep.join([HELPERS, TESTS, ROOT]))
    processes = [
        subprocess.Popen([sys.executable, '-c', script, *args],
                         env=dict(env, RANK=str(rank), LOCAL_RANK=str(rank)),
                         stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT,
                         text=True) for rank in range(ranks)
    ]
    shown = [process.communicate(timeout=TIMEOUT)[0] for process in processes]
    return [(p.returncode, text) for p, text in zip(processes, shown)]


def train_file(config: str, processes: int, **env: str) -> None:
    """Train a config file by the tools, in one process or in several."""
    command = [sys.executable, osp.join(ROOT, 'tools', 'train.py'), config]
    if processes > 1:
        command = [
            'bash',
            osp.join(ROOT, 'tools', 'dist_train.sh'), config,
            str(processes)
        ]
    done = subprocess.run(
        command,
        env=dict(
            os.environ,
            OMP_NUM_THREADS='1',
            PYTHON=sys.executable,
            PYTHONPATH=os.pathsep.join([osp.dirname(config), HELPERS, ROOT]),
            PORT=environment()['MASTER_PORT'],
            **env),
        capture_output=True,
        text=True,
        timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr[-9000:]
