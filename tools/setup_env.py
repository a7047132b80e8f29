# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The parts of tools/setup_env.sh that are more than a call of pip.

They are called by name, before there is an environment by the Python that it
will be made of, then by its own. ``device`` is ``cpu`` or ``cuda``.
"""
import contextlib
import importlib
import io
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import warnings
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Optional

# setuptools takes them instead of Python's own. Without -O2 NMS and RoIAlign
# take twice as long on a CPU; with -g compiling does.
OPS_FLAGS = '-g0 -O2'
DISK_GB = dict(cpu=6, cuda=18)
PACKAGES = ('torchvision numpy scipy cv2 matplotlib rich pycocotools sklearn '
            'mmengine mmcv mmcv.ops mmdet mmdet.models mmdet.datasets '
            'mmdet.evaluation mmpretrain mmpretrain.models diffusers '
            'torchmetrics mmw2s').split()


def say(message: str) -> None:
    print(f'[setup] {message}', flush=True)


def die(message: str, *hints: str) -> None:
    """End with an error, told like the script's own."""
    lines = [f'ERROR: {message}', *(f'       {hint}' for hint in hints)]
    print('\n'.join(f'[setup] {line}' for line in lines), file=sys.stderr)
    sys.exit(1)


# ------------------------------------------------------ checks of the machine
def check_machine(device: str, folder: str) -> None:
    """Find out what is missing before anything long begins.

    Args:
        device (str): What is going to be installed.
        folder (str): Where the environment will be.
    """
    _check_compiler()
    if device == 'cuda':
        if not Path(_cuda_home(), 'bin', 'nvcc').is_file():
            die(
                'there is an NVIDIA driver, but no nvcc to compile '
                "mmcv's CUDA ops", 'install the CUDA toolkit and set CUDA_HOME'
                f' (tried {_cuda_home()}),', 'or hide the driver and get a CPU'
                ' environment: MMW2S_CPU=1')
        say(f'nvcc in {_cuda_home()}')
    else:
        say('no NVIDIA driver: CPU builds')
    say(f'disk {check_disk(device, folder)} GB free')


def check_disk(device: str, folder: str) -> int:
    """Refuse too full a disk; the GB that are free."""
    table = subprocess.check_output(['df', '-Pk', folder]).decode()
    free = int(table.splitlines()[1].split()[3]) // 1024**2
    if free < DISK_GB[device]:
        die(
            f'{DISK_GB[device]} GB of disk should be free, but {folder} has '
            f'{free}', 'free some space, or use --active with an environment '
            'elsewhere')
    return free


def _check_compiler() -> None:
    cxx = shlex.split(os.environ.get('CXX') or 'g++')
    if shutil.which(cxx[0]) is None:
        die(f"the C++ compiler {cxx[0]} is missing; mmcv's ops are compiled",
            'install it (Debian, Ubuntu: apt install g++) or set CXX')
    header = Path(sysconfig.get_path('include'), 'Python.h')
    if not header.is_file():
        die(f"Python's headers are missing: {header}",
            'install them (Debian, Ubuntu: apt install python3-dev)')
    if subprocess.run([*cxx, '-std=c++17', '-x', 'c++', '-fsyntax-only', '-'],
                      input=b'int main() { auto [a, b] = "x"; return a + b; }',
                      stderr=subprocess.DEVNULL).returncode:
        die(f'the C++ compiler {cxx[0]} does not know C++17',
            'install g++ 9 or newer, or set CXX')
    version = subprocess.check_output(
        [*cxx, '-dumpfullversion', '-dumpversion']).decode().strip()
    say(f'compiler {version} ({cxx[0]})')


def _cuda_home() -> str:
    nvcc = shutil.which('nvcc')
    return os.environ.get('CUDA_HOME') or (str(
        Path(nvcc).resolve().parents[1]) if nvcc else '/usr/local/cuda')


# ---------------------------------------------------------------- torchvision
def torchvision_requirement(torch: str, torchvision: str) -> str:
    """The torchvision for the torch that is installed, pinned or not.

    Args:
        torch (str): The line of requirements/torch.txt.
        torchvision (str): That of torchvision there.
    """
    installed = metadata.version('torch')
    if torch == f'torch=={installed.split("+")[0]}':
        return torchvision
    # Their releases go in step: torchvision 0.28 belongs to torch 2.13.
    return f'torchvision==0.{int(installed.split(".")[1]) + 15}.*'


def guard_torchvision(site_packages: Optional[str] = None) -> None:
    """Let torchvision be imported although its operators do not load.

    They do not where torch has no CUDA, and then its import fails on
    registering shapes for two of them. With CUDA nothing changes.

    Args:
        site_packages (str, optional): Where it is. Defaults to that of this
            Python.
    """
    path = Path(
        site_packages or sysconfig.get_path('platlib'),
        'torchvision/_meta_registrations.py')
    text = path.read_text()
    guarded = re.sub(
        r'^@(torch\.library\.register_fake\("torchvision::q?nms"\))$',
        r'@(\1 if torchvision.extension._has_ops() else lambda f: f)',
        text,
        flags=re.MULTILINE)
    if guarded != text:
        # A new file: the old one may be a hard link into an installer's cache.
        new = path.with_suffix('.new')
        new.write_text(guarded)
        os.replace(new, path)


# ----------------------------------------------------------------- mmcv's ops
def ops_key(mmcv: str, device: str) -> str:
    """All that a compiled wheel depends on, as the name of a folder.

    Args:
        mmcv (str): The requirement, with its version.
        device (str): What mmcv is to be compiled for.
    """
    import torch
    if device == 'cuda':
        gpus = range(torch.cuda.device_count())
        arches = os.environ.get('TORCH_CUDA_ARCH_LIST') or ';'.join(
            sorted({
                '%d.%d' % torch.cuda.get_device_capability(gpu)
                for gpu in gpus
            }))
        if not arches:
            die('there is no GPU that tells what to compile for',
                'set TORCH_CUDA_ARCH_LIST, as in "8.0;9.0"')
        device = f'cuda{torch.version.cuda}-sm{arches}'
    key = '-'.join([
        mmcv, f'cp{sys.version_info[0]}{sys.version_info[1]}',
        f'torch{torch.__version__}',
        platform.system(),
        platform.machine(), *platform.libc_ver(), device,
        OPS_FLAGS.replace('-', '')
    ])
    return re.sub(r'[^A-Za-z0-9._+-]+', '_', key).lower()


def ops_device(device: str) -> str:
    """What mmcv is to be compiled for: torch may be a CPU build after all."""
    import torch
    cuda = torch.version.cuda
    if device == 'cpu':
        return 'cpu'
    if cuda is None:
        print(
            '[setup] only a CPU build of torch could be had', file=sys.stderr)
        return 'cpu'
    text = subprocess.check_output([f'{_cuda_home()}/bin/nvcc', '--version'])
    nvcc = re.search(r'release (\d+)\.', text.decode()).group(1)
    if nvcc != cuda.split('.')[0]:
        die(f'nvcc should be of CUDA {cuda}, as torch is, but is of {nvcc}',
            'install that toolkit and set CUDA_HOME, or set MMW2S_CPU=1')
    return 'cuda'


def build_ops(mmcv: str, device: str, folder: str) -> None:
    """Compile a wheel of mmcv.

    Args:
        mmcv (str): The requirement, with its version.
        device (str): As :func:`ops_device` says.
        folder (str): Where the wheel is put, once it is whole.
    """
    jobs = len(os.sched_getaffinity(0)) if hasattr(
        os, 'sched_getaffinity') else os.cpu_count() or 2
    if os.path.exists('/proc/meminfo'):  # a compiler takes up to 1.5 GB
        memory = re.search(r'MemAvailable: +(\d+)',
                           Path('/proc/meminfo').read_text())
        jobs = max(1, min(jobs, int(memory.group(1)) // 1572864))
    settings = dict(
        MMCV_WITH_OPS='1',
        FORCE_CUDA='1' if device == 'cuda' else '0',
        CFLAGS=OPS_FLAGS,
        CXXFLAGS=OPS_FLAGS,
        MAX_JOBS=os.environ.get('MAX_JOBS') or str(jobs))
    if device == 'cuda':
        settings['CUDA_HOME'] = _cuda_home()
    target = Path(folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        new = Path(work, 'wheel')
        # --no-build-isolation: the isolated build has no torch and makes a
        # wheel without ops. --no-cache-dir: pip would hand out what it once
        # compiled for another torch. -v: shows ninja's count.
        subprocess.run([
            sys.executable, '-m', 'pip', 'wheel', '-v', '--no-deps',
            '--no-build-isolation', '--no-cache-dir', '--no-binary',
            mmcv.split('==')[0], '-w',
            str(new), mmcv
        ], check=True, env={**os.environ, **settings})  # yapf: disable
        wheel, = new.glob('*.whl')
        if not any(
                name.startswith('mmcv/_ext')
                for name in zipfile.ZipFile(wheel).namelist()):
            die('the wheel that was built has no ops')
        shutil.rmtree(target, ignore_errors=True)
        os.replace(new, target)


# ------------------------------------------------------------------ the result
def final_check() -> None:
    """Import everything, and compare two operators with known results."""
    warnings.filterwarnings('ignore')
    import torch
    for name in PACKAGES:
        with contextlib.redirect_stdout(io.StringIO()):  # greetings
            importlib.import_module(name)
    from mmcv.ops import nms, roi_align
    for device in ['cpu'] + ['cuda'] * torch.cuda.is_available():
        boxes = torch.tensor(
            [[0., 0., 9., 9.], [1., 0., 9., 9.], [20., 20., 29., 29.]],
            device=device)
        scores = torch.tensor([.9, .8, .7], device=device)
        kept = nms(boxes, scores, 0.5)[1].tolist()
        assert kept == [0, 2], f'nms on {device} kept {kept}'
        rois = torch.tensor([[0., 0., 0., 4., 4.]], device=device)
        out = roi_align(torch.full((1, 1, 8, 8), 3., device=device), rois, 2)
        assert out.shape == (1, 1, 2, 2) and (out - 3).abs().max() < 1e-5, \
            f'roi_align on {device} gave {out.tolist()}'
    versions = ', '.join(
        f'{name} {sys.modules[name].__version__}'
        for name in 'torch mmengine mmcv mmdet mmpretrain mmw2s'.split())
    print(f'    {versions}; nms and roi_align work on {device}')


if __name__ == '__main__':
    said = globals()[sys.argv[1]](*sys.argv[2:])
    if isinstance(said, str):
        print(said)
