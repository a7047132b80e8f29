# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Checks of the installed packages: versions, and limits of mmcv's operators.

The original OpenMMLab packages and the maintained onedl forks have the same
import names but other names in pip, so versions are read from the modules.
"""
import importlib
import importlib.util
import sys
from types import MethodType
from typing import Any, Dict, List, Optional, Sequence

from packaging.version import Version

#: Import name -> (oldest version that works, what to install).
REQUIREMENTS = {
    'torch': ('2.5', 'torch'),
    'mmengine': ('0.10.0', 'onedl-mmengine (maintained fork) or mmengine'),
    'mmcv':
    ('2.0.0rc4', 'onedl-mmcv (maintained fork) or mmcv, built with its ops'),
}
#: A user's own model may do without mmcv; detectors and classifiers need it.
OPTIONAL = ('mmcv', )

_FOCAL_LOSS = 'mmcv.ops.focal_loss'
_DEFORMABLE_ATTENTION = 'mmcv.ops.multi_scale_deform_attn'


def installed_versions() -> Dict[str, Optional[str]]:
    """Import name -> version of the packages in :data:`REQUIREMENTS`.

    The version of a package that is not installed is None.
    """
    return {
        name:
        importlib.import_module(name).__version__
        if importlib.util.find_spec(name) else None
        for name in REQUIREMENTS
    }


def check_versions(versions: Dict[str, Optional[str]]) -> None:
    """Refuse packages that are missing or too old.

    Args:
        versions (dict): Import name -> version, None if it is missing.

    Raises:
        ImportError: If there is such a package. The message names all of them.
    """
    problems = []
    for name, (oldest, package) in REQUIREMENTS.items():
        version = versions.get(name)
        if version is None:
            if name in OPTIONAL:
                continue
            found = 'is not installed'
        elif _is_older(version, oldest):
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


def _is_older(version: str, oldest: str) -> bool:
    given, needed = Version(version), Version(oldest)
    # NVIDIA's builds of torch 2.5 are named 2.5.0a0+..., which sorts before
    # 2.5, so their base version is compared.
    if not needed.is_prerelease:
        given = Version(given.base_version)
    return given < needed


def mmcv_operators(model: Any) -> List[str]:
    """Names of mmcv's own operators in a model, such as RoIAlign.

    These operators read every feature map as if it were contiguous. For a map
    in channels-last format they return wrong values without a message, or
    fail.

    Args:
        model (nn.Module): The model.

    Returns:
        list[str]: Names of the operators' classes, sorted.
    """
    # The focal loss gets no feature map.
    return _operators(model, but=[_FOCAL_LOSS])


def _operators(model: Any, but: Sequence[str]) -> List[str]:
    """Classes of mmcv's operators that a model has or calls.

    A model may have an operator as a module, such as ``RoIAlign``, or call it
    as a function: ``TOODHead`` calls ``deform_conv2d``, which is
    ``DeformConv2dFunction.apply``. Which functions a module calls is not
    known. So a function counts if the Python file that defines the module's
    class imports it.

    Args:
        model (nn.Module): The model.
        but (Sequence[str]): Python modules whose operators are left out.

    Returns:
        list[str]: Names of the classes, sorted.
    """
    found = set()
    for kind in {type(module) for module in model.modules()}:
        for base in kind.__mro__:
            if _is_mmcvs(base):
                found.add(base)
                break
            file = sys.modules.get(base.__module__)
            found.update(
                value.__self__
                for value in getattr(file, '__dict__', {}).values()
                if isinstance(value, MethodType) and _is_mmcvs(value.__self__))
    return sorted(kind.__name__ for kind in found
                  if kind.__module__ not in but)


def _is_mmcvs(kind: Any) -> bool:
    return str(getattr(kind, '__module__', '')).startswith('mmcv.ops')


def emulates_bfloat16() -> bool:
    """Whether PyTorch has no bfloat16 kernels for this machine's CPU.

    Its convolutions and matrix products are then many times as slow as those
    in float32, see docs/guides/works_with.md.
    """
    import torch
    try:
        return not torch.ops.mkldnn._is_mkldnn_bf16_supported()
    except (AttributeError, RuntimeError):  # built without oneDNN
        return False


def refuse_bfloat16(model: Any) -> None:
    """Refuse bfloat16 for a model with operators that do not support it.

    Args:
        model (nn.Module): The model, on the device that it is trained on.

    Raises:
        ValueError: If it has operators of mmcv's own.
    """
    on_cpu = next(model.parameters()).device.type == 'cpu'
    # On a CPU, mmcv computes these two with PyTorch's operators.
    operators = _operators(
        model, but=[_FOCAL_LOSS, _DEFORMABLE_ATTENTION] if on_cpu else [])
    if operators:
        raise ValueError(
            f'the {type(model).__name__} cannot be trained in bfloat16, which '
            f'mmcv\'s operators ({", ".join(operators)}) and its NMS do not '
            'have: use OptimWrapper (float32), or on a GPU AmpOptimWrapper '
            '(float16)')


def require(package: str, extra: str, owner: str) -> None:
    """Refuse to go on without an optional package.

    Args:
        package (str): Import name.
        extra (str): The extra of mmw2s that installs it.
        owner (str): What needs it, for the message.

    Raises:
        ImportError: If it is not installed.
    """
    if importlib.util.find_spec(package) is None:
        raise ImportError(
            f'{owner} needs the package {package}, which is not installed: '
            f'run pip install "mmw2s[{extra}]", or pip install {package}')
