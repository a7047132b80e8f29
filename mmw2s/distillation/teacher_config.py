# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Where a teacher's config and weights are found."""
import copy
import importlib.util
import logging
import os
import os.path as osp
from typing import Any, Iterator, List, Optional, Tuple, Union

from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.logging import print_log

__all__ = [
    'found_beside', 'load_config', 'resolve_checkpoint', 'without_downloads'
]


def found_beside(fields: dict, file: Optional[str]) -> dict:
    """A teacher's fields with paths that exist.

    A relative path is looked up in the current folder, and then in that of
    the run's config, as ``_base_`` is.

    Args:
        fields (dict): Those of :class:`FrozenTeacher`. Is left as it is.
        file (str, optional): The run's config, if it is of a file.

    Raises:
        FileNotFoundError: If there is no such file. The message names the
            folders.
    """
    fields = dict(fields)
    folder = osp.dirname(osp.abspath(file)) if file else None
    for field in ('config', 'checkpoint'):
        path = fields.get(field)
        if isinstance(path, str) and path != 'auto' and \
                '::' not in path and '://' not in path:
            fields[field] = _find(f'teacher.{field}', path, folder)
    return fields


def load_config(config: Union[str, dict]) -> Config:
    """The teacher's config, of a dict, a file or an installed package.

    Args:
        config (str or dict): See :class:`FrozenTeacher`.

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
        cfg = Config.fromfile(_find('teacher.config', config))
    if 'model' not in cfg:
        raise ValueError('teacher.config should have the key "model", but has '
                         f'{", ".join(cfg) or "none"}')
    return cfg


def resolve_checkpoint(config: Union[str, dict], checkpoint: Optional[str],
                       cfg: Config) -> Optional[str]:
    """Path or URL of the teacher's weights; None for none.

    Args:
        config (str or dict): The field ``config``.
        checkpoint (str, optional): The field ``checkpoint``.
        cfg (Config): The config that was loaded. A relative ``load_from`` of
            a file is looked up in the current folder and beside the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If ``'auto'`` leads to nothing.
    """
    if checkpoint is None:
        return None
    checkpoint = os.fspath(checkpoint)
    if checkpoint != 'auto':
        return checkpoint if '://' in checkpoint else \
            _find('teacher.checkpoint', checkpoint)
    if isinstance(config, str) and '::' in config:
        return _of_the_zoo(config)
    load_from = cfg.get('load_from')
    if not load_from:
        raise ValueError(
            'teacher.checkpoint is "auto", but the teacher\'s config is not '
            'from a package\'s model zoo and has no "load_from": give '
            'teacher.checkpoint a path or a URL (or None to take it as it is '
            'built)')
    folder = osp.dirname(osp.abspath(cfg.filename)) if cfg.filename else None
    return load_from if '://' in load_from else \
        _find('load_from of the teacher\'s config', load_from, folder)


def without_downloads(model_cfg: dict) -> Tuple[dict, List[Tuple[str, dict]]]:
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
    # The last one is of MMDetection's own distillers, LD and LAD.
    if key in ('pretrained', 'load_pretrained', 'load_lang_pretrained',
               'teacher_ckpt'):
        return isinstance(value, (bool, str))
    kind = str(part.get('type', ''))
    return key == 'checkpoint_path' and 'timm' in kind.lower() or \
        key in ('weights', 'weights_backbone') and 'torchvision' in kind


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


def _find(field: str, path: str, folder: Optional[str] = None) -> str:
    """The path, or where it exists in a folder besides the current one."""
    places = list(
        dict.fromkeys([
            osp.expanduser(path),
            osp.join(folder or '', osp.expanduser(path)),
        ]))
    found = [place for place in places if osp.isfile(place)]
    if not found:
        folders = dict.fromkeys([os.getcwd(), osp.abspath(folder or '')])
        looked = f' in {" or ".join(folders)}'
        what = ', it is a folder' if osp.isdir(places[0]) else \
            '' if osp.isabs(places[0]) else looked
        form = 'a config file, "package::path", or a dict' \
            if field == 'teacher.config' else 'a file or a URL'
        raise FileNotFoundError(f'{field} should be {form}, but there is no '
                                f'file {path!r}{what}')
    if len(found) > 1 and not osp.samefile(*found):
        print_log(
            f'{field} is {path!r}, and there is such a file in {os.getcwd()} '
            f'and in {folder}: the first is taken',
            logger='current',
            level=logging.WARNING)
    return found[0]
