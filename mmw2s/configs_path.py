# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Find the configs of mmw2s, in the checkout or in the installed wheel."""
import difflib
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def configs_root() -> Path:
    """The folder of the configs that belong to this copy of mmw2s."""
    shipped = _PACKAGE / '.mim' / 'configs'
    return shipped if shipped.is_dir() else _PACKAGE.parent / 'configs'


def config(name: str) -> str:
    """Absolute path of a config that comes with mmw2s.

    With it your own config can inherit from one of mmw2s, wherever mmw2s is
    installed::

        _base_ = [__import__('mmw2s').config('w2s_retinanet_coco.py')]

    Args:
        name (str): Path below ``configs/``; ``.py`` may be left out.

    Returns:
        str: The absolute path.

    Raises:
        FileNotFoundError: If there is no such config. The message names the
            nearest ones.
    """
    root = configs_root()
    for path in (root / name, root / f'{name}.py'):
        if path.is_file():
            return str(path)
    known = sorted(
        path.relative_to(root).as_posix() for path in root.rglob('*.py'))
    # Compared by file name too: the folder is what people forget.
    nearest = [path for path in known if Path(path).stem == Path(name).stem]
    nearest += [
        path for path in difflib.get_close_matches(name, known, n=3)
        if path not in nearest
    ]
    hint = f'did you mean {" or ".join(nearest)}?' if nearest else \
        f'there are: {", ".join(known)}'
    raise FileNotFoundError(f'mmw2s has no config "{name}" in {root}: {hint}')
