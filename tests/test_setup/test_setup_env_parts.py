# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The parts of the set-up that are written in Python."""
import importlib.util
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

PARTS = Path(__file__).parents[2] / 'tools' / 'setup_env.py'

pytestmark = pytest.mark.skipif(
    not PARTS.is_file(), reason='a checkout is needed')


@pytest.fixture
def parts():
    spec = importlib.util.spec_from_file_location('setup_env', PARTS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize('installed, wanted', [
    ('2.13.0+cpu', '0.28.0'),
    ('2.13.0', '0.28.0'),
    ('2.13.1', '0.28.*'),
    ('2.5.1+cu121', '0.20.*'),
])
def test_torchvision_fits_the_torch_that_is_there(parts, monkeypatch,
                                                  installed, wanted):
    monkeypatch.setattr(metadata, 'version', lambda name: installed)
    assert parts.torchvision_requirement(
        'torch==2.13.0', 'torchvision==0.28.0') == f'torchvision=={wanted}'


REGISTRATIONS = '''
def register_meta(name):
    return lambda f: f

@torch.library.register_fake("torchvision::nms")
def meta_nms(dets):
    return 'nms'

@register_meta("roi_align")
def meta_roi_align(input):
    return 'roi_align'

@torch.library.register_fake("torchvision::qnms")
def meta_qnms(dets):
    return 'qnms'
'''


class Torchvision:
    """Stands for torch and torchvision where the latter has no operators."""

    def __init__(self, has_ops):
        self.library = self.extension = self
        self._has_ops = lambda: has_ops
        self.registered = []

    def register_fake(self, name):
        if not self._has_ops():
            raise RuntimeError(f'operator {name} does not exist')
        self.registered.append(name)
        return lambda f: f


@pytest.mark.parametrize('has_ops', [False, True])
def test_torchvision_is_imported_without_its_operators(parts, tmp_path,
                                                       has_ops):
    path = tmp_path / 'torchvision' / '_meta_registrations.py'
    path.parent.mkdir()
    path.write_text(REGISTRATIONS)
    for _ in range(2):  # a second call changes nothing
        parts.guard_torchvision(tmp_path)
        fake = Torchvision(has_ops)
        names = dict(torch=fake, torchvision=fake)
        exec(path.read_text(), names)
        assert names['meta_nms'](None) == 'nms'
        assert names['meta_qnms'](None) == 'qnms'
        assert fake.registered == (['torchvision::nms', 'torchvision::qnms']
                                   if has_ops else [])


def test_a_compiled_wheel_belongs_to_one_torch_and_one_device(
        parts, monkeypatch):
    import torch
    monkeypatch.setenv('TORCH_CUDA_ARCH_LIST', '8.0;9.0+PTX')
    cpu, cuda = (parts.ops_key('mmcv==2.1.0', d) for d in ('cpu', 'cuda'))
    assert cpu.startswith('mmcv_2.1.0-cp3') and cpu.endswith('-cpu-g0_o2')
    assert '-sm8.0_9.0+ptx-' in cuda
    monkeypatch.setattr(torch, '__version__', '2.99.0')
    assert parts.ops_key('mmcv==2.1.0', 'cpu') != cpu
    assert '-torch2.99.0-' in parts.ops_key('mmcv==2.1.0', 'cpu')


def test_without_a_gpu_the_ones_to_compile_for_are_asked(
        parts, monkeypatch, capsys):
    monkeypatch.delenv('TORCH_CUDA_ARCH_LIST', raising=False)
    monkeypatch.setattr('torch.cuda.device_count', lambda: 0)
    with pytest.raises(SystemExit):
        parts.ops_key('mmcv==2.1.0', 'cuda')
    assert 'set TORCH_CUDA_ARCH_LIST' in capsys.readouterr().err


def test_a_torch_without_cuda_gets_the_ops_of_a_cpu(parts, monkeypatch):
    monkeypatch.setattr('torch.version.cuda', None)
    assert parts.ops_device('cuda') == 'cpu'


@pytest.mark.parametrize('cuda, taken', [('13.0', True), ('12.8', False)])
def test_nvcc_is_of_the_cuda_of_torch(parts, monkeypatch, tmp_path, capsys,
                                      cuda, taken):
    nvcc = tmp_path / 'bin' / 'nvcc'
    nvcc.parent.mkdir()
    nvcc.write_text(
        '#!/bin/sh\necho Cuda compilation tools, release 13.0, V\n')
    nvcc.chmod(0o755)
    monkeypatch.setenv('CUDA_HOME', str(tmp_path))
    monkeypatch.setattr('torch.version.cuda', cuda)
    if taken:
        assert parts.ops_device('cuda') == 'cuda'
    else:
        with pytest.raises(SystemExit):
            parts.ops_device('cuda')
        assert 'of CUDA 12.8' in capsys.readouterr().err


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Builds a tiny package in the place of mmcv; what it was told."""

    def build(module, device='cpu'):
        source = tmp_path / 'source' / 'tinymmcv-1.0'
        (source / 'mmcv').mkdir(parents=True)
        (source / 'mmcv' / module).write_text('')
        (source / 'setup.py').write_text(
            'import os\nfrom setuptools import setup\n'
            'told = {k: os.environ[k] for k in ("FORCE_CUDA", "CFLAGS", '
            '"MMCV_WITH_OPS", "MAX_JOBS")}\n'
            f'open({str(tmp_path / "told")!r}, "w").write(repr(told))\n'
            'setup(name="tinymmcv", version="1.0", packages=["mmcv"])\n')
        found = tmp_path / 'found'
        found.mkdir()
        subprocess.run(
            [
                sys.executable, 'setup.py', '-q', 'sdist', '--formats=gztar',
                '-d',
                str(found)
            ],
            cwd=str(source),
            env=dict(  # yapf: disable
                FORCE_CUDA='',
                CFLAGS='',
                MMCV_WITH_OPS='',
                MAX_JOBS=''),
            check=True)
        return subprocess.run([
            sys.executable,
            str(PARTS), 'build_ops', 'tinymmcv==1.0', device,
            str(tmp_path / 'wheels' / 'key')
        ],
                              env=dict(
                                  PIP_NO_INDEX='1',
                                  PIP_FIND_LINKS=str(found),
                                  MAX_JOBS='3'),
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT,
                              universal_newlines=True)

    return build


def test_ops_are_built_and_kept(build, tmp_path):
    done = build('_ext.py')
    assert done.returncode == 0, done.stdout
    wheel, = (tmp_path / 'wheels' / 'key').iterdir()
    assert wheel.name.startswith('tinymmcv-1.0')
    assert eval((tmp_path / 'told').read_text()) == dict(
        FORCE_CUDA='0', CFLAGS='-g0 -O2', MMCV_WITH_OPS='1', MAX_JOBS='3')


def test_a_wheel_without_ops_is_refused_and_not_kept(build, tmp_path):
    done = build('other.py')
    assert done.returncode == 1
    assert 'the wheel that was built has no ops' in done.stdout
    assert list((tmp_path / 'wheels').iterdir()) == []
