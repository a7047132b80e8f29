# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What mmw2s needs of the packages around it, checked when it is imported.

The original OpenMMLab packages and the maintained onedl forks share their
import names, so the check asks the modules and not pip.
"""
import importlib
import importlib.util
from typing import Any, Dict, List, Optional

from packaging.version import Version

#: Import name -> (oldest version that works, what to install).
REQUIREMENTS = {
    'torch': ('2.5', 'torch'),
    'mmengine': ('0.10.0', 'onedl-mmengine (maintained fork) or mmengine'),
    'mmcv':
    ('2.0.0rc4', 'onedl-mmcv (maintained fork) or mmcv, built with its ops'),
}
#: mmcv is needed by detectors and classifiers, not by a model of one's own.
OPTIONAL = ('mmcv', )


def installed_versions() -> Dict[str, Optional[str]]:
    """Versions of the packages in :data:`REQUIREMENTS`, None if missing."""
    return {
        name:
        importlib.import_module(name).__version__
        if importlib.util.find_spec(name) else None
        for name in REQUIREMENTS
    }


def check_versions(versions: Dict[str, Optional[str]]) -> None:
    """Refuse packages that are missing or too old, all of them at once.

    Args:
        versions (dict): Import name -> version, or None where missing.

    Raises:
        ImportError: If a package does not do.
    """
    problems = []
    for name, (oldest, package) in REQUIREMENTS.items():
        version = versions.get(name)
        if version is None:
            if name in OPTIONAL:
                continue
            found = 'is not installed'
        elif Version(version) < Version(oldest):
            found = f'is {version}'
        else:
            continue
        problems.append(f'  {name} should be {oldest} or newer, but {found}: '
                        f'install {package}')
    if problems:
        raise ImportError(
            'mmw2s cannot work with the packages installed here:\n' +
            '\n'.join(problems) +
            '\n"bash tools/setup_env.sh" in a checkout of mmw2s makes an '
            'environment with versions that work together.')


def mmcv_operators(model: Any) -> List[str]:
    """Names of the operators of mmcv's own in a model, such as RoIAlign.

    They take every map for one that is contiguous, and of a map with the
    channels last they give wrong values without a word.
    """
    return sorted({
        type(module).__name__
        for module in model.modules()
        if type(module).__module__.startswith('mmcv.ops')
    })


def refuse_bfloat16(model: Any) -> None:
    """Refuse to train a model in bfloat16 that has operators without it.

    Raises:
        ValueError: If it has operators of mmcv's own.
    """
    operators = mmcv_operators(model)
    if next(model.parameters()).device.type == 'cpu':
        # Deformable attention is made of PyTorch's own operators there.
        operators = [
            name for name in operators
            if name != 'MultiScaleDeformableAttention'
        ]
    if operators:
        raise ValueError(
            f'the {type(model).__name__} cannot be trained in bfloat16, which '
            f'mmcv\'s operators ({", ".join(operators)}) and its NMS do not '
            'have: use OptimWrapper (float32), or on a GPU AmpOptimWrapper '
            '(float16)')


def require(package: str, extra: str, owner: str) -> None:
    """Refuse to go on without a package that only some parts need.

    Args:
        package (str): Import name.
        extra (str): The extra of mmw2s that brings it along.
        owner (str): What needs it, for the message.

    Raises:
        ImportError: If it is not installed.
    """
    if importlib.util.find_spec(package) is None:
        raise ImportError(
            f'{owner} needs the package {package}, which is not installed: '
            f'run pip install "mmw2s[{extra}]", or pip install {package}')
