# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The checks that come before anything long; nothing is installed here."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'tools' / 'setup_env.sh'

pytestmark = pytest.mark.skipif(
    not SCRIPT.is_file() or shutil.which('bash') is None,
    reason='a checkout and bash are needed')


@pytest.fixture
def setup(tmp_path):
    """Runs the script of a bare checkout, with commands of one's own."""
    tools = tmp_path / 'checkout' / 'tools'
    tools.mkdir(parents=True)
    for part in SCRIPT.parent.glob('setup_env.*'):
        shutil.copy(part, tools)
    shutil.copytree(ROOT / 'requirements', tools.parent / 'requirements')
    commands = tmp_path / 'bin'
    commands.mkdir()

    def run(*args, fake=None, **env):
        for name, text in (fake or {}).items():
            (commands / name).write_text(f'#!/bin/sh\n{text}\n')
            (commands / name).chmod(0o755)
        clean = {
            key: value
            for key, value in os.environ.items()
            if key not in ('VIRTUAL_ENV', 'CONDA_PREFIX', 'CXX', 'MMW2S_CPU')
        }
        clean['PATH'] = f'{commands}:{clean["PATH"]}'
        result = subprocess.run(
            ['bash', str(tools / SCRIPT.name), *args],
            env={
                **clean,
                **env
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            timeout=60)
        assert not list(tools.parent.glob('.venv*'))
        return result

    return run


def refused(result, *told):
    assert result.returncode == 1, result.stdout
    assert 'ERROR' in result.stdout
    for text in told:
        assert text in result.stdout
    return True


def test_help_tells_every_check_in_a_line(setup):
    result = setup('--help')
    assert result.returncode == 0
    for check in ('python', 'venv', 'active', 'compiler', 'headers', 'disk',
                  'nvcc', 'imports', 'nms', 'roi_align', 'cuda'):
        assert f'\n    {check} ' in result.stdout


def test_an_unknown_argument_is_refused(setup):
    assert refused(setup('--actve'), 'unknown argument "--actve"')


def test_an_unknown_stack_is_refused(setup):
    assert refused(setup('--stack', 'mm'), 'onedl or original', '"mm"')


def test_a_wrong_python_is_refused_with_the_ones_that_do(setup):
    result = setup('--check', '--python', 'old', fake=dict(old='echo 3.8'))
    assert refused(result, 'one of 3.11 3.12 3.13, but old is 3.8')


def test_the_original_packages_need_a_python_of_their_own(setup):
    result = setup(
        '--stack',
        'original',
        '--check',
        '--python',
        'new',
        fake=dict(new='echo 3.13'))
    assert refused(result, 'one of 3.11, but new is 3.13')


def test_a_python_that_does_not_run_is_refused(setup):
    assert refused(
        setup('--check', '--python', '/none/python'), '/none/python does not')


def test_a_missing_compiler_is_told_before_anything_is_made(setup):
    result = setup('--python', sys.executable, CXX='/none/g++')
    assert refused(result, '/none/g++ is missing', 'install')


def test_an_old_compiler_is_refused(setup):
    result = setup(
        '--check',
        '--python',
        sys.executable,
        fake={'old-g++': 'exit 1'},
        CXX='old-g++')
    assert refused(result, 'does not know C++17')


def test_too_little_disk_is_told_before_anything_is_made(setup):
    table = 'echo Filesystem; echo /dev/x 9 9 3145728 1% /'
    result = setup('--python', sys.executable, fake={'df': table})
    assert refused(result, 'GB of disk should be free', 'has 3')


def test_active_without_an_environment_is_refused(setup):
    assert refused(setup('--active'), 'needs an environment that is active')


def test_a_gpu_without_nvcc_is_refused_and_the_way_out_named(setup):
    result = setup(
        '--check',
        '--python',
        sys.executable,
        fake={'nvidia-smi': 'echo GPU 0'},
        CUDA_HOME='/none/cuda')
    assert refused(result, 'no nvcc', '/none/cuda', 'MMW2S_CPU=1')


@pytest.mark.skipif(shutil.which('g++') is None, reason='g++ is needed')
def test_a_good_machine_passes_and_is_left_alone(setup, tmp_path):
    cache = tmp_path / 'cache'
    plenty = 'echo Filesystem; echo /dev/x 9 9 99999999 1% /'
    result = setup(
        '--check',
        '--python',
        sys.executable,
        fake={'df': plenty},
        MMW2S_CPU='1',
        MMW2S_CACHE=str(cache))
    assert result.returncode == 0, result.stdout
    assert 'disk 95 GB free' in result.stdout
    assert not cache.exists()
