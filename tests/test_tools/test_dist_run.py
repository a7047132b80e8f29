# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / 'tools'


@pytest.fixture
def launch(tmp_path):
    """Calls a script with a Python that only tells its arguments."""
    python = tmp_path / 'python'
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)

    def launch(script, *argv, **env):
        clean = {k: v for k, v in os.environ.items() if k != 'PORT'}
        done = subprocess.run(['bash', str(TOOLS / script), *argv],
                              env=dict(clean, PYTHON=str(python), **env),
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT,
                              universal_newlines=True)
        return done.returncode, done.stdout.splitlines()

    return launch


@pytest.mark.parametrize('script, given, passed_on', [
    ('dist_train.sh', ['a b.py', '2', '--amp'
                       ], ['train.py', 'a b.py', '--amp']),
    ('dist_test.sh', ['a b.py', 'x.pth', '2'], ['test.py', 'a b.py', 'x.pth']),
])
def test_the_script_gets_its_arguments(launch, script, given, passed_on):
    status, said = launch(script, *given)
    assert status == 0 and '--nproc_per_node=2' in said
    at = said.index(str(TOOLS / passed_on[0]))
    assert said[at + 1:] == [*passed_on[1:], '--launcher', 'pytorch']


def test_one_machine_takes_any_free_port(launch):
    _, said = launch('dist_train.sh', 'a.py', '2')
    assert '--standalone' in said
    assert not any('master' in word for word in said)


@pytest.mark.parametrize('env, told', [
    (dict(PORT='7'), ['--nnodes=1', '--master_addr=127.0.0.1',
                      '--master_port=7']),
    (dict(NNODES='2', NODE_RANK='1', MASTER_ADDR='a'),
     ['--nnodes=2', '--node_rank=1', '--master_addr=a',
      '--master_port=29500']),
])  # yapf: disable
def test_a_port_or_several_machines_are_told(launch, env, told):
    _, said = launch('dist_train.sh', 'a.py', '2', **env)
    assert set(told) <= set(said)
    assert '--standalone' not in said


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh'])
def test_too_few_arguments_show_the_usage(launch, script):
    status, said = launch(script, 'a.py')
    assert status == 2
    assert said[0].startswith('usage: ') and script in said[0]
