# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='session')
def built(tmp_path_factory):
    """A wheel made from a copy of the checkout: (copy, wheel)."""
    if not (ROOT / 'setup.py').is_file():
        pytest.skip('a checkout is needed')
    copy = tmp_path_factory.mktemp('wheel') / 'checkout'
    copy.mkdir()
    for name in ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'LICENSE',
                 'README.md', 'CHANGELOG.md', 'model-index.yml'):
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, copy)
    for name in ('mmw2s', 'configs', 'tools', 'tests'):
        shutil.copytree(
            ROOT / name,
            copy / name,
            ignore=shutil.ignore_patterns('__pycache__'))
    subprocess.run([
        sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-index',
        '--no-build-isolation', '-w', 'dist', '.'
    ], cwd=str(copy), check=True)  # yapf: disable
    wheel, = (copy / 'dist').glob('*.whl')
    return copy, zipfile.ZipFile(wheel)


@pytest.fixture(scope='session')
def run(built, tmp_path_factory):
    """Runs Python where the wheel is installed, in a folder of one's own."""
    site = tmp_path_factory.mktemp('site')
    built[1].extractall(site)

    def run(folder, *args, path=''):
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', *map(str, args)],
            cwd=str(folder),
            env=dict(
                os.environ,
                PYTHONPATH=os.pathsep.join([str(site), str(path)]),
                OMP_NUM_THREADS='1'),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True)
        assert done.returncode == 0, done.stdout[-3000:]
        return done.stdout

    return run
