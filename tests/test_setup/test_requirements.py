# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The pins in requirements/, and who relies on them."""
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
COMMON = ('build', 'torch', 'runtime', 'diffusion', 'tests', 'docs', 'report',
          'trackers')
STACKS = ('onedl', 'original')

pytestmark = pytest.mark.skipif(
    not (ROOT / 'requirements').is_dir(), reason='a checkout is needed')


def pins(name):
    """{package: version} of a file; each line has to be a pin."""
    found = {}
    for line in (ROOT / 'requirements' / f'{name}.txt').open():
        line = line.split('#')[0].strip()
        if line:
            package, version = line.split('==')
            assert canonicalize_name(package) not in found
            found[canonicalize_name(package)] = version
    return found


def test_each_package_has_one_version():
    files = {path.stem for path in (ROOT / 'requirements').glob('*.txt')}
    assert files == {*COMMON, *STACKS}
    common = [package for name in COMMON for package in pins(name)]
    assert len(common) == len(set(common))
    for stack in STACKS:
        assert not set(common) & set(pins(stack))


@pytest.mark.skipif(sys.version_info < (3, 11), reason='tomllib is needed')
def test_every_extra_is_pinned_to_a_version_that_it_allows():
    import tomllib
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    asked = project['dependencies'] + [
        package for extra in project['optional-dependencies'].values()
        for package in extra
    ]
    for stack in STACKS:
        pinned = {k: v for f in (*COMMON, stack) for k, v in pins(f).items()}
        for requirement in map(Requirement, asked):
            version = pinned[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), requirement


def test_the_documents_name_the_pinned_versions():
    text = ' '.join((ROOT / 'docs' / 'get_started.md').read_text().split())
    original = pins('original')
    for name in ('mmengine', 'mmcv', 'mmdet', 'mmpretrain'):
        assert f'{name} {original[name]}' in text


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_an_image_is_made_by_the_set_up(device):
    text = (ROOT / 'docker' / f'{device}.Dockerfile').read_text()
    code = re.sub('^#.*\n', '', text, flags=re.MULTILINE)
    steps = re.sub(r'\\\n', ' ', code).splitlines()
    base = next(step for step in steps if step.startswith('FROM '))
    assert re.fullmatch(r'FROM [\w/]+:[\w.-]*\d[\w.-]*', base)
    assert 'COPY . .' in steps
    assert any(re.search(r'^RUN .*bash tools/setup_env\.sh ', s)
               for s in steps)  # yapf: disable
    # No version of its own, and only settings that the set-up knows.
    assert '==' not in code and 'pip install' not in code
    known = (ROOT / 'tools' / 'setup_env.sh').read_text()
    settings = set(re.findall(r'(?:MMW2S|TORCH_CUDA)_\w+', code))
    assert f'MMW2S_{device.upper()}' in settings
    assert all(f'#     {name} ' in known for name in settings)


def test_an_image_takes_no_environment_along():
    ignored = (ROOT / '.dockerignore').read_text().split()
    assert {'.git', '.venv*', 'data', 'work_dirs'} <= set(ignored)
