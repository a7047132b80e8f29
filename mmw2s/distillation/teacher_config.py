# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Find the config and the weights of a teacher."""
import copy
import logging
import os
import os.path as osp
from typing import Any, Iterator, List, Optional, Tuple, Union

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmw2s.utils.init_cfg import loads_weights
from mmw2s.utils.read_config import read_config, read_packaged_config

__all__ = [
    'build_model', 'found_beside', 'load_config', 'refuse_random_head',
    'resolve_checkpoint', 'without_downloads'
]

# What a field may be, for messages.
_FORMS = {
    'teacher.config':
    'a config file, "package::path", or a dict',
    'teacher.module':
    '"package.module:name", a dict, or a file of '
    'TorchScript or torch.export'
}


def found_beside(fields: dict, file: Optional[str]) -> dict:
    """A copy of a teacher's fields in which all paths exist.

    A relative path is looked up in the current folder, then in the folder of
    the run's config, as for ``_base_``.

    Args:
        fields (dict): Fields of :class:`FrozenTeacher`.
        file (str, optional): Path of the run's config, if it is a file.

    Raises:
        FileNotFoundError: If there is no such file. The message names the
            folders.
    """
    fields = dict(fields)
    folder = osp.dirname(osp.abspath(file)) if file else None
    for field in ('config', 'checkpoint', 'module'):
        path = fields.get(field)
        # A module may be "package.module:name".
        elsewhere = (':', ) if field == 'module' else ('::', '://')
        if isinstance(path, str) and path != 'auto' and not any(
                sign in path for sign in elsewhere):
            fields[field] = _find(f'teacher.{field}', path, folder)
    return fields


def load_config(config: Union[str, dict]) -> Config:
    """Load the teacher's config from a dict, a file or an installed package.

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
        cfg = read_packaged_config(config)
    else:
        cfg = read_config(_find('teacher.config', config))
    if 'model' not in cfg:
        raise ValueError('teacher.config should have the key "model", but has '
                         f'{", ".join(cfg) or "none"}')
    return cfg


def build_model(cfg: Config, model_cfg: Optional[dict] = None) -> nn.Module:
    """Build the model of a config, in the config's own scope.

    Args:
        cfg (Config): A config with the key ``model``.
        model_cfg (dict, optional): Replaces its ``model``. Defaults to None.
    """
    # Some detectors write into the nested dicts that they are built from.
    model_cfg = copy.deepcopy(cfg.model if model_cfg is None else model_cfg)
    # mmpretrain's configs keep the preprocessor beside the model.
    if 'data_preprocessor' in cfg:
        model_cfg.setdefault('data_preprocessor',
                             copy.deepcopy(cfg.data_preprocessor))
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        return MODELS.build(model_cfg)


def resolve_checkpoint(config: Union[str, dict], checkpoint: Optional[str],
                       cfg: Config) -> Optional[str]:
    """Path or URL of the teacher's weights.

    Args:
        config (str or dict): The field ``config``.
        checkpoint (str, optional): The field ``checkpoint``.
        cfg (Config): The loaded config. If ``load_from`` in it is a relative
            path, it is looked up in the current folder and in the config's.

    Returns:
        str, optional: Path or URL; None if ``checkpoint`` is None.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If ``checkpoint`` is ``'auto'`` and neither the model zoo
            nor the config names weights.
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
    """A copy of a model's config that loads no weights when it is built.

    The checkpoint has all weights. To download others would take time, fail
    offline, and run pickled code in their files.

    Args:
        model_cfg (dict): Config of the model.

    Returns:
        Tuple[dict, list]: The config; and pairs of a module's name and its
        ``init_cfg``, for each removed ``init_cfg`` that would load weights.
    """
    model_cfg = copy.deepcopy(model_cfg)
    off, inits = [], []
    for where, part in list(_dicts(model_cfg)):
        for key, value in list(part.items()):
            if _loads_weights(part, key, value):
                # timm needs a bool, all others accept None.
                part[key] = False if isinstance(value, bool) else None
                off.append(f'{where}{key}={value!r}')
            elif key == 'init_cfg' and isinstance(value, dict) and \
                    loads_weights(value):
                part[key] = None
                inits.append((where.rstrip('.'), dict(value)))
    if off:
        print_log(
            'The teacher\'s checkpoint holds all of its weights, so its '
            f'config is taken without {", ".join(off)}',
            logger='current')
    return model_cfg, inits


def refuse_random_head(model: nn.Module, model_cfg: dict) -> None:
    """Refuse pretrained weights of other classes, which leave a random head.

    timm's ``create_model(pretrained=True, num_classes=10)`` leaves out the
    head of weights that have 1,000 classes, or finds none in weights without
    a head, and says so at level INFO alone.

    Args:
        model (nn.Module): A teacher as it was built, without a checkpoint.
        model_cfg (dict): Its config.

    Raises:
        ValueError: If its weights were to be pretrained, and are so but for
            its head.
    """
    if not any(
            part.get('pretrained') and not part.get('checkpoint_path')
            and 'timm' in str(part.get('type')).lower()
            for _, part in _dicts(model_cfg)):
        return
    for module in model.modules():
        known = getattr(module, 'pretrained_cfg', None)
        count = getattr(module, 'num_classes', None)
        trained = known.get('num_classes') if isinstance(known, dict) else None
        if count and trained is not None and count != trained:
            raise ValueError(
                f'the teacher\'s {type(module).__name__} has {count} classes, '
                'but its pretrained weights '
                f'{f"are of {trained}" if trained else "have no head"}, so '
                'that its head is random: give teacher.checkpoint the weights '
                'of a model that was trained on your classes, or '
                'num_classes=0, a distill of features alone, and '
                'stop=dict(type="At", ...)')


def _loads_weights(part: dict, key: str, value: Any) -> bool:
    if not value:
        return False
    # `teacher_ckpt` is a field of MMDetection's own distillers, LD and LAD.
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
        # A preprocessor has no weights, and an init_cfg is handled as a whole.
        if key not in ('init_cfg', 'data_preprocessor'):
            yield from _dicts(value, f'{where}{key}.')


def _of_the_zoo(config: str) -> str:
    try:
        return read_packaged_config(config, pretrained=True).model_path
    except (AssertionError, AttributeError, KeyError) as error:
        raise ValueError(
            f'the model zoo lists no weights for {config!r}: give '
            'teacher.checkpoint a path or a URL') from error


def _find(field: str, path: str, folder: Optional[str] = None) -> str:
    """A path that exists, in the current folder or in ``folder``."""
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
        form = _FORMS.get(field, 'a file or a URL')
        raise FileNotFoundError(f'{field} should be {form}, but there is no '
                                f'file {path!r}{what}')
    if len(found) > 1 and not osp.samefile(*found):
        print_log(
            f'{field} is {path!r}, and there is such a file in {os.getcwd()} '
            f'and in {folder}: the first is taken',
            logger='current',
            level=logging.WARNING)
    return found[0]
