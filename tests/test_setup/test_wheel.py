# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not (ROOT / 'setup.py').is_file(), reason='a checkout is needed')


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """A wheel made from a copy of the checkout: (copy, wheel)."""
    copy = tmp_path_factory.mktemp('wheel') / 'checkout'
    copy.mkdir()
    for name in ('setup.py', 'setup.cfg', 'MANIFEST.in', 'LICENSE',
                 'README.md', 'CHANGELOG.md'):
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


def test_every_config_tool_and_module_is_in_the_wheel(built):
    copy, wheel = built
    names = set(wheel.namelist())
    for folder, shipped in (('configs', 'mmw2s/.mim/configs'),
                            ('tools', 'mmw2s/.mim/tools'), ('mmw2s', 'mmw2s')):
        files = [
            path.relative_to(copy / folder).as_posix()
            for path in (copy / folder).rglob('*') if path.is_file()
        ]
        assert files
        missing = [name for name in files if f'{shipped}/{name}' not in names]
        assert not missing


def test_tests_and_leftovers_are_not_in_the_wheel(built):
    for name in built[1].namelist():
        assert name.startswith(('mmw2s/', 'mmw2s-'))
        assert '__pycache__' not in name


def test_the_checkout_stays_clean(built):
    assert not (built[0] / 'mmw2s' / '.mim').exists()


def test_the_wheel_pulls_neither_family_over_the_other(built):
    wheel = built[1]
    metadata, = (n for n in wheel.namelist() if n.endswith('/METADATA'))
    message = Parser().parsestr(wheel.read(metadata).decode())
    needed = [
        line for line in message.get_all('Requires-Dist')
        if 'extra' not in line
    ]
    assert any(line.startswith('torch') for line in needed)
    assert not any(line.startswith(('mm', 'onedl')) for line in needed)
    assert set(message.get_all('Provides-Extra')) >= {
        'tests', 'docs', 'diffusion', 'quickstart'
    }


def test_an_installed_wheel_finds_the_configs_it_ships(built, tmp_path):
    built[1].extractall(tmp_path / 'site')
    code = ('import mmw2s; from mmw2s.configs_path import configs_root; '
            'print(mmw2s.config(min(str(p.relative_to(configs_root())) '
            'for p in configs_root().rglob("*.py"))))')
    path = subprocess.run([sys.executable, '-c', code],
                          cwd=str(tmp_path),
                          env={
                              **os.environ, 'PYTHONPATH':
                              str(tmp_path / 'site')
                          },
                          stdout=subprocess.PIPE,
                          universal_newlines=True,
                          check=True).stdout.strip().splitlines()[-1]
    shipped = (tmp_path / 'site' / 'mmw2s' / '.mim' / 'configs').resolve()
    assert shipped in Path(path).parents
