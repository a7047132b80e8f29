# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What a bug report needs: ``python -m mmw2s.collect_env``."""
import importlib
import os
from importlib import metadata
from typing import Dict

from mmengine.utils.dl_utils import collect_env as collect_base_env

from .version import __version__

# Import name -> distributions that provide it: the original, then the fork.
_OPENMMLAB = {
    'mmengine': ('mmengine', 'onedl-mmengine'),
    'mmcv': ('mmcv', 'onedl-mmcv'),
    'mmdet': ('mmdet', 'onedl-mmdetection'),
    'mmpretrain': ('mmpretrain', 'onedl-mmpretrain'),
}


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _version(module: str) -> str:
    try:
        return importlib.import_module(module).__version__
    except ModuleNotFoundError as error:
        if error.name == module:
            return 'not installed'
        return f'cannot be imported: {error}'
    # A broken package may raise anything; the report has to say so.
    except Exception as error:
        return f'cannot be imported: {type(error).__name__}: {error}'


def _openmmlab_version(module: str) -> str:
    """Version and family of a package; says if two families are installed."""
    found = [name for name in _OPENMMLAB[module] if _is_installed(name)]
    version = _version(module)
    if len(found) > 1:
        return (f'{version} ({" and ".join(found)} are both installed: '
                'uninstall both, then install one)')
    if found:
        family = 'onedl fork' if found[0].startswith('onedl') else 'original'
        return f'{version} ({family})'
    return version


def _mmcv_ops() -> str:
    try:
        from mmcv.ops import get_compiler_version, get_compiling_cuda_version
        return (f'yes, compiler {get_compiler_version()}, '
                f'CUDA {get_compiling_cuda_version()}')
    except Exception as error:
        return f'no ({type(error).__name__}: {error})'


def collect_env() -> Dict[str, str]:
    """MMEngine's report of the environment, and the packages of mmw2s.

    Returns:
        dict: Title -> finding. It also says which packages are missing or
        broken.
    """
    try:
        env = {key: str(value) for key, value in collect_base_env().items()}
    except Exception as error:  # it imports torchvision, which may be broken
        env = {'MMEngine report': f'{type(error).__name__}: {error}'}
    # MMEngine is reported below like the other packages.
    env.pop('MMEngine', None)
    env['CPU cores'] = str(os.cpu_count())
    env['OMP_NUM_THREADS'] = os.environ.get('OMP_NUM_THREADS', 'not set')
    env['mmw2s'] = __version__
    for module in _OPENMMLAB:
        env[module] = _openmmlab_version(module)
    env['mmcv ops'] = _mmcv_ops()
    try:
        env['pycocotools'] = metadata.version('pycocotools')
    except metadata.PackageNotFoundError:
        env['pycocotools'] = 'not installed'
    return env


if __name__ == '__main__':
    for title, value in collect_env().items():
        print(f'{title}: {value}')
