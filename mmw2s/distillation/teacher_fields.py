# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Checks of a teacher's fields and of the overrides of its config."""
import difflib
import inspect
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, TASK_UTILS, DefaultScope
from mmengine.utils import is_seq_of

from mmw2s.utils.fields import (check_choice, check_flag, check_number,
                                check_text)

__all__ = [
    'PRECISIONS', 'check_teacher_fields', 'merge_options', 'teacher_fields'
]

#: Name -> dtype of the teacher; None means the precision of the run.
PRECISIONS: Dict[str, Optional[torch.dtype]] = {
    'run': None,
    'fp32': torch.float32,
    'fp16': torch.float16,
    'bf16': torch.bfloat16
}

# Keys of a teacher's config that are read.
_TOP = ('model', 'data_preprocessor', 'default_scope', 'load_from')
# Keys that builders remove before a class is called.
_OF_BUILDERS = ('type', '_scope_', '_delete_', 'init_cfg', 'requires_grad')


def teacher_fields(given: Any) -> Dict[str, Any]:
    """The field ``teacher`` of the hook as a dict of fields.

    Args:
        given (str or dict): A config, by its path or as a dict with the key
            ``model``; or a dict of fields, which is copied.
    """
    if isinstance(given, str) or 'model' in given:
        return dict(config=given)
    return dict(given)


def check_teacher_fields(config: Any = None,
                         checkpoint: Optional[str] = 'auto',
                         score: Optional[float] = None,
                         precision: str = 'run',
                         cfg_options: Optional[dict] = None,
                         classes: Optional[Sequence[str]] = None,
                         trust_checkpoint: bool = False,
                         scale: float = 1.0,
                         fuse: bool = False,
                         module: Any = None,
                         data_preprocessor: Optional[dict] = None,
                         permute: bool = False) -> None:
    """Refuse fields with values that are always wrong.

    No file is read. Whether files exist and fit is checked before training.

    Raises:
        ValueError: If a field is wrong. The message names it.
    """
    _check_module(config, module, data_preprocessor)
    if isinstance(config, (dict, Config)):
        model = config.get('model')
        if not isinstance(model, dict) or 'type' not in model:
            raise ValueError(
                'teacher.config should have the key "model", a dict with the '
                f'key "type", but has model={model!r} and the keys '
                f'{", ".join(map(str, config)) or "none"}')
    elif module is None:
        check_text('teacher.config', config,
                   'a path, "package::path" or a dict with the key "model"')
    if checkpoint is not None:
        check_text('teacher.checkpoint', checkpoint,
                   'a path, a URL, "auto" or None')
    if score is not None:
        check_number('teacher.score', score)
    check_choice('teacher.precision', precision, PRECISIONS)
    if cfg_options is not None and not (isinstance(cfg_options, dict) and all(
            isinstance(key, str) for key in cfg_options)):
        raise ValueError(
            'teacher.cfg_options should be a dict of overrides, such as '
            f'{{"model.bbox_head.num_classes": 3}}, but got {cfg_options!r}')
    if classes is not None and (isinstance(classes, str)
                                or not is_seq_of(classes, str) or not classes):
        raise ValueError('teacher.classes should be a list with the name of '
                         f'each of its outputs, but got {classes!r}')
    check_flag('teacher.trust_checkpoint', trust_checkpoint)
    check_number('teacher.scale', scale, above=0, at_most=1)
    check_flag('teacher.fuse', fuse)
    check_flag('teacher.permute', permute)


def _check_module(config: Any, module: Any,
                  data_preprocessor: Optional[dict]) -> None:
    if module is None:
        if data_preprocessor is not None:
            raise ValueError(
                'teacher.data_preprocessor is that of a teacher.module, which '
                'is not given: put it into teacher.config')
        return
    if config is not None:
        raise ValueError('teacher should have "config" or "module", but has '
                         f'both: config={config!r}, module={module!r}')
    kind = module.get('type') if isinstance(module, dict) else module
    if not (callable(kind) and isinstance(module, dict)):
        check_text(
            'teacher.module', kind,
            '"package.module:name", a dict of such a type and its arguments, '
            'or a TorchScript file or a program of torch.export')
    if data_preprocessor is not None and not isinstance(
            data_preprocessor, dict):
        raise ValueError(
            'teacher.data_preprocessor should be a dict of mean, std and '
            f'bgr_to_rgb, but got {data_preprocessor!r}')


def merge_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Merge overrides into a teacher's config, and refuse misspelled keys.

    A key must exist already, or be a field of the class that the ``type``
    beside it names.

    Args:
        cfg (Config): The config; it is changed.
        options (Mapping): Dotted key -> value.

    Raises:
        ValueError: If a key would have no effect. The message names the most
            similar key.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        for key, value in options.items():
            _check_key(cfg, key.split('.'), value, options)
    try:
        cfg.merge_from_dict(dict(options))
    except (AttributeError, KeyError, TypeError) as error:
        # A dict in the place of something else, a number of a list, ...
        raise ValueError(f'teacher.cfg_options {dict(options)!r} cannot be '
                         f'merged into its config: {error}') from error


def _check_key(cfg: Config, keys: List[str], value: Any,
               options: Mapping[str, Any]) -> None:
    node: Any = cfg
    for depth, key in enumerate(keys):
        where = '.'.join(keys[:depth])
        if isinstance(node, (list, tuple)):
            if not key.isdigit() or int(key) >= len(node):
                raise ValueError(
                    f'teacher.cfg_options has "{".".join(keys)}", but {where} '
                    f'is a list of {len(node)}: "{key}" is no number of it')
            node = node[int(key)]
        elif isinstance(node, (dict, Config)):
            if key not in node:
                kind = options.get(f'{where}.type', node.get('type'))
                _refuse_unknown(node, keys, depth, kind)
                return  # everything below a new key is new
            node = node[key]
        elif node is None:
            return  # a part of the model that the config leaves out
        else:
            raise ValueError(
                f'teacher.cfg_options has "{".".join(keys)}", but {where} is '
                f'{node!r} in the config, which has no fields')
    if isinstance(value, dict) and isinstance(node, (dict, list)) and \
            not value.get('_delete_'):
        below = {'.'.join([*keys, str(k)]): v for k, v in value.items()}
        for key, inner in below.items():
            _check_key(cfg, key.split('.'), inner, {**options, **below})


def _refuse_unknown(node: Any, keys: List[str], depth: int, kind: Any) -> None:
    key, where = keys[depth], '.'.join(keys[:depth])
    cls = _find(kind)
    known = [*node, *(_fields(cls) if cls else [])]
    if not where:
        known += _TOP
    elif kind:
        known += _OF_BUILDERS
    nearest = difflib.get_close_matches(key, known, n=1)
    # The class may be in no registry, such as "nms". Then its fields are not
    # known, and only keys similar to existing ones are taken for wrong.
    if key in known or (kind and not cls and not nearest):
        return
    kind = getattr(kind, '__name__', kind)
    raise ValueError(
        f'teacher.cfg_options has "{".".join(keys)}", but '
        f'{where or "the config"}{f" ({kind})" if kind else ""} has no field '
        f'"{key}": ' +
        (f'did you mean "{nearest[0]}"?' if nearest else 'it has ' +
         ', '.join(dict.fromkeys(k for k in known if k not in _OF_BUILDERS))))


def _find(kind: Any) -> Any:
    """The class that a ``type`` names in the current scope, or None."""
    if not isinstance(kind, str):
        return kind
    for root in (MODELS, TASK_UTILS):
        with root.switch_scope_and_registry(None) as registry:
            cls = registry.get(kind)
        if cls is not None:
            return cls
    return None


def _fields(kind: Any) -> Iterator[str]:
    """The arguments of a class, and those of its bases if it has ``**kwargs``.
    """
    for cls in inspect.getmro(kind) if inspect.isclass(kind) else [kind]:
        init = cls.__dict__.get('__init__') if inspect.isclass(cls) else cls
        if init is None or not callable(init):
            continue
        parameters: Dict[str, Any] = dict(inspect.signature(init).parameters)
        parameters.pop('self', None)
        kinds = {p.kind for p in parameters.values()}
        yield from (name for name, p in parameters.items()
                    if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            return
