# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Several processes of one run, on this machine."""
import os
import socket
import subprocess
import sys
from typing import List, Tuple


def run_ranks(script: str, *args: str, ranks: int = 2) \
        -> List[Tuple[int, str]]:
    """Run a script as so many ranks; their exit codes and what they print."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    env = dict(
        os.environ,
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
        WORLD_SIZE=str(ranks))
    processes = [
        subprocess.Popen([sys.executable, '-c', script, *args],
                         env=dict(env, RANK=str(rank), LOCAL_RANK=str(rank)),
                         stdout=subprocess.PIPE,
                         text=True) for rank in range(ranks)
    ]
    shown = [process.communicate(timeout=300)[0] for process in processes]
    return [(p.returncode, text) for p, text in zip(processes, shown)]
