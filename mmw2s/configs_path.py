# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Find configs and tools of mmw2s, in the checkout or the installed wheel."""
import difflib
import warnings
from pathlib import Path
from typing import Optional

from mmw2s.utils.text import listed

_PACKAGE = Path(__file__).resolve().parent
# Folders and files that have moved: their old names work for one version.
_MOVED = {
    'bccd/': 'detection/bccd/',
    'coco_subset/': 'detection/coco/',
    'paper/': 'detection/coco/',
    'quickstart/': 'detection/digits/',
    'w2s_faster_rcnn_r101_coco': 'detection/coco/w2s_faster_rcnn_r101_coco',
    'w2s_retinanet_coco_short': 'detection/coco/w2s_retinanet_coco_short',
    # What is distilled, and how strongly, now follows from the model.
    '_base_/w2s_classification': '_base_/w2s',
    '_base_/w2s_diffusion': '_base_/w2s',
    '_base_/w2s_one_stage': '_base_/w2s',
    '_base_/w2s_two_stage': '_base_/w2s',
}


def configs_root() -> Path:
    """The folder of the configs that belong to this copy of mmw2s."""
    return _shipped('configs')


def tools_root() -> Path:
    """The folder of the tools that belong to this copy of mmw2s."""
    return _shipped('tools')


def _shipped(name: str) -> Path:
    inside = _PACKAGE / '.mim' / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def config(name: str) -> str:
    """Absolute path of a config that comes with mmw2s.

    With it your own config can inherit from one of mmw2s, wherever mmw2s is
    installed::

        _base_ = [__import__('mmw2s').config('w2s_retinanet_coco.py')]

    A config that has moved is found by its old name too, with a
    ``DeprecationWarning`` that says the new one.

    Args:
        name (str): Path below ``configs/``; ``.py`` may be left out.

    Returns:
        str: The absolute path.

    Raises:
        FileNotFoundError: If there is no such config. The message names the
            nearest ones.
    """
    root = configs_root()
    found = _find(root, name)
    if found is not None:
        return found
    new = _new_name(name)
    found = new and _find(root, new)
    if found:
        warnings.warn(
            f'the config "{name}" has moved to "{new}"; the old name goes '
            'with the next version',
            DeprecationWarning,
            stacklevel=2)
        return found
    known = sorted(
        path.relative_to(root).as_posix() for path in root.rglob('*.py'))
    # Compared by file name too: the folder is what people forget.
    nearest = [path for path in known if Path(path).stem == Path(name).stem]
    nearest += [
        path for path in difflib.get_close_matches(name, known, n=3)
        if path not in nearest
    ]
    # Those named in the README first, pieces of configs last.
    known.sort(key=lambda path: ('_base_' in path, path.count('/'), path))
    hint = f'did you mean {" or ".join(nearest)}?' if nearest else \
        f'there are: {listed(known, 3)}'
    raise FileNotFoundError(f'mmw2s has no config "{name}" in {root}: {hint}')


def _find(root: Path, name: str) -> Optional[str]:
    for path in (root / name, root / f'{name}.py'):
        if path.is_file():
            return str(path)
    return None


def _new_name(name: str) -> Optional[str]:
    """Where a config of an old name is, or None if it has not moved."""
    below = name[len('configs/'):] if name.startswith('configs/') else name
    stem = below[:-len('.py')] if below.endswith('.py') else below
    for old, new in _MOVED.items():
        if stem == old or old.endswith('/') and stem.startswith(old):
            return f'{new}{stem[len(old):]}.py'
    return None
