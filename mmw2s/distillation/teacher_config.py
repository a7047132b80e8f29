# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Where a teacher's config and weights are found."""
import copy
import importlib.util
import logging
import os
import os.path as osp
from typing import Any, Iterator, List, Optional, Sequence, Tuple, Union

from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.logging import print_log

__all__ = ['load_config', 'resolve_checkpoint', 'without_downloads']


def load_config(config: Union[str, dict],
                folder: Optional[str] = None) -> Config:
    """The teacher's config, of a dict, a file or an installed package.

    Args:
        config (str or dict): See :class:`FrozenTeacher`.
        folder (str, optional): Where relative paths are looked up that do not
            exist in the current folder: that of the run's config.

    Raises:
        FileNotFoundError: If there is no such file.
        ModuleNotFoundError: If the package is not installed.
        ValueError: If it has no key ``model``.
    """
    if not isinstance(config, str):
        cfg = Config(dict(config))
    elif '::' in config:
        package = config.split('::')[0]
        # mmengine would pip-install the package otherwise.
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(
                f'teacher.config is {config!r}, but the package {package} is '
                'not installed')
        cfg = get_config(config)
        cfg.setdefault('default_scope', package)
    else:
        path = _find('teacher.config', config, [folder])
        if path is None:
            raise FileNotFoundError(
                f'teacher.config should be a config file, "package::path", or '
                f'a dict, but there is no file {config!r}' +
                _in_folders(config, [folder]))
        cfg = Config.fromfile(path)
    if 'model' not in cfg:
        raise ValueError('teacher.config should have the key "model", but has '
                         f'{", ".join(cfg) or "none"}')
    return cfg


def resolve_checkpoint(config: Union[str, dict],
                       checkpoint: Optional[str],
                       cfg: Config,
                       folder: Optional[str] = None) -> Optional[str]:
    """Path or URL of the teacher's weights; None for none.

    Args:
        config (str or dict): The field ``config``.
        checkpoint (str, optional): The field ``checkpoint``.
        cfg (Config): The config that was loaded.
        folder (str, optional): That of the run's config, see
            :func:`load_config`. What a config file of the teacher's names is
            looked up beside that file too.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If ``'auto'`` leads to nothing.
    """
    folders, field = [folder], 'teacher.checkpoint'
    if checkpoint is None:
        return None
    checkpoint = os.fspath(checkpoint)
    if checkpoint == 'auto':
        if isinstance(config, str) and '::' in config:
            return _of_the_zoo(config)
        checkpoint = cfg.get('load_from')
        if not checkpoint:
            raise ValueError(
                'teacher.checkpoint is "auto", but the teacher\'s config is '
                'not from a package\'s model zoo and has no "load_from": give '
                'teacher.checkpoint a path or a URL (or None to take it as it '
                'is built)')
        field = 'load_from of the teacher\'s config'
        if cfg.filename:
            folders.insert(0, osp.dirname(osp.abspath(cfg.filename)))
    if '://' in checkpoint:
        return checkpoint
    path = _find(field, checkpoint, folders)
    if path is None:
        raise FileNotFoundError(
            f'{field} should be a file or a URL, but there is no file '
            f'{checkpoint!r}' + _in_folders(checkpoint, folders) +
            (', it is a folder' if osp.isdir(checkpoint) else ''))
    return path


def without_downloads(
        model_cfg: dict) -> Tuple[dict, List[Tuple[str, dict]]]:
    """A model's config that loads no weights while it is built.

    A checkpoint holds all of them: to download others first takes time, fails
    offline, and runs what their file asks for.

    Args:
        model_cfg (dict): Is left as it is.

    Returns:
        Tuple[dict, list]: The config, and of each ``init_cfg`` that loaded
        weights the name of its module and itself.
    """
    model_cfg = copy.deepcopy(model_cfg)
    off, inits = [], []
    for where, part in list(_dicts(model_cfg)):
        for key, value in list(part.items()):
            if _loads_weights(part, key, value):
                # timm asks for a bool, all others take None.
                part[key] = False if isinstance(value, bool) else None
                off.append(f'{where}{key}={value!r}')
            elif key == 'init_cfg' and isinstance(value, dict) and \
                    value.get('type') in ('Pretrained', 'PretrainedInit'):
                part[key] = None
                inits.append((where.rstrip('.'), dict(value)))
    if off:
        print_log(
            'The teacher\'s checkpoint holds all of its weights, so its '
            f'config is taken without {", ".join(off)}',
            logger='current')
    return model_cfg, inits


def _loads_weights(part: dict, key: str, value: Any) -> bool:
    if not value:
        return False
    if key in ('pretrained', 'load_pretrained', 'load_lang_pretrained'):
        return isinstance(value, (bool, str))
    # torchvision's builders and classes.
    return key in ('weights', 'weights_backbone') and \
        str(part.get('type', '')).startswith('torchvision')


def _dicts(part: Any, where: str = '') -> Iterator[Tuple[str, dict]]:
    if isinstance(part, dict):
        yield where, part
    items = part.items() if isinstance(part, dict) else \
        enumerate(part) if isinstance(part, (list, tuple)) else ()
    for key, value in items:
        # A preprocessor has no weights, an init_cfg is asked for as a whole.
        if key not in ('init_cfg', 'data_preprocessor'):
            yield from _dicts(value, f'{where}{key}.')


def _of_the_zoo(config: str) -> str:
    try:
        return get_config(config, pretrained=True).model_path
    except (AssertionError, AttributeError, KeyError) as error:
        raise ValueError(
            f'the model zoo lists no weights for {config!r}: give '
            'teacher.checkpoint a path or a URL') from error


def _find(field: str, path: str,
          folders: Sequence[Optional[str]]) -> Optional[str]:
    """A path that exists, in the current folder or else in one of these."""
    path = osp.expanduser(path)
    places = [path] + [osp.join(f, path) for f in folders if f]
    found = [place for place in places if osp.isfile(place)]
    others = [p for p in found[1:] if not osp.samefile(p, found[0])]
    if others:
        print_log(
            f'{field} is {path!r}, which exists in the current folder and as '
            f'{others[0]}: that of the current folder is taken',
            logger='current',
            level=logging.WARNING)
    return found[0] if found else None


def _in_folders(path: str, folders: Sequence[Optional[str]]) -> str:
    if osp.isabs(osp.expanduser(path)):
        return ''
    places = list(dict.fromkeys([os.getcwd(), *(f for f in folders if f)]))
    return f' in {" or ".join(places)}'
