# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The frozen teacher: where it comes from, and whether it fits."""
import copy
import importlib.util
import inspect
import logging
import os.path as osp
from contextlib import nullcontext
from typing import Any, Mapping, Optional, Sequence, Union

import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.logging import print_log
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from mmw2s.compatibility import mmcv_operators
from mmw2s.registry import check_config
from .checkpoint import load_weights
from .pipelines import Pipelines
from .stopwatch import Stopwatch

__all__ = ['FrozenTeacher']

_PRECISIONS = {
    'run': None,
    'fp32': torch.float32,
    'fp16': torch.float16,
    'bf16': torch.bfloat16
}


class FrozenTeacher:
    """A trained model that is only looked at.

    It is no child of the student: not in its state dict, optimizer, DDP
    buckets, EMA copy or checkpoint. It stays in eval mode whatever ``train()``
    is called around it, and none of its parameters requires a gradient.

    Args:
        config (str or dict): Where the architecture comes from: a path to a
            config, a config of an installed package
            (``'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'``), or a dict
            with the key ``model`` (and ``default_scope``).
        checkpoint (str, optional): Path or URL of its weights. ``'auto'``
            takes the weights that the package's model zoo lists for the
            config, or the config's own ``load_from``. None leaves it as it
            is built, with a warning: at random, unless its own code loads
            weights. Defaults to ``'auto'``.
        score (float, optional): The score it is said to reach by the stop
            rule's metric. If the measured one is more than 10 % away, the
            run does not start: most often it is the wrong file, or the wrong
            data. Defaults to None, which checks nothing.
        precision (str): ``'run'`` computes in the precision that the student
            is trained in; ``'fp32'``, ``'fp16'`` and ``'bf16'`` choose.
            Defaults to ``'run'``.
        cfg_options (dict, optional): Overrides merged into the config, such
            as ``{'model.bbox_head.num_classes': 3}``. Defaults to None.
        trust_checkpoint (bool): Unpickle whatever the checkpoint asks for,
            which runs its author's code. Defaults to False.

    Raises:
        FileNotFoundError: If the config or the checkpoint is missing.
        ValueError: If the weights do not fit the model.
    """

    #: What normalises images before they reach its preprocessor.
    pipelines = Pipelines()

    def __init__(self,
                 config: Union[str, dict],
                 checkpoint: Optional[str] = 'auto',
                 score: Optional[float] = None,
                 precision: str = 'run',
                 cfg_options: Optional[dict] = None,
                 trust_checkpoint: bool = False) -> None:
        if precision not in _PRECISIONS:
            raise ValueError(
                'teacher.precision should be one of '
                f'{", ".join(_PRECISIONS)}, but got {precision!r}')
        self.cfg = _load_config(config)
        if cfg_options:
            self.cfg.merge_from_dict(cfg_options)
        kind = self.cfg.model.get('type', 'teacher')
        self.name = config if isinstance(config, str) else \
            getattr(kind, '__name__', kind)
        self.declared_score = score
        self.classes: Optional[Sequence[str]] = None
        self.stopwatch = Stopwatch()
        self._precision = _PRECISIONS[precision]
        self.model = self._build()
        self.checkpoint = _resolve_checkpoint(config, checkpoint, self.cfg)
        if self.checkpoint is None:
            print_log(
                f'The teacher {self.name} is given no checkpoint: its weights '
                'are what building its config gives (init_cfg is not '
                'applied). Random ones teach nothing.',
                logger='current',
                level=logging.WARNING)
        else:
            weights, meta = load_weights(self.checkpoint, trust_checkpoint)
            _load_strictly(self.model, weights, self.checkpoint, self.name)
            self.classes = _classes_of(meta)
        self._freeze()

    @classmethod
    def from_cfg(cls, cfg: Union[str, dict]) -> 'FrozenTeacher':
        """Build from the hook's ``teacher`` field: a config, or the fields."""
        cls.check_cfg(cfg)
        if isinstance(cfg, str) or 'model' in cfg:
            return cls(cfg)
        return cls(**cfg)

    @classmethod
    def check_cfg(cls, cfg: Union[str, dict]) -> None:
        """Refuse a hook's ``teacher`` field by its form alone.

        Raises:
            TypeError: For an unknown field, naming the nearest.
            ValueError: If there is no config, or one beside the fields.
        """
        if isinstance(cfg, str):
            return
        if 'model' in cfg:
            beside = set(cfg) & set(inspect.signature(cls).parameters)
            if beside:
                raise ValueError(
                    'teacher has the key "model" of a config beside '
                    f'{", ".join(sorted(beside))}: put the model into '
                    'teacher.config, config=dict(model=...)')
            return
        check_config('teacher', cls, cfg)
        if 'config' not in cfg:
            raise ValueError('teacher should be a config, or a dict with the '
                             f'key "config", but got {cfg!r}')

    def _build(self) -> nn.Module:
        # Some detectors write into the nested dicts that they are built from.
        model_cfg = copy.deepcopy(self.cfg.model)
        # mmpretrain's configs keep the preprocessor beside the model.
        if 'data_preprocessor' in self.cfg:
            model_cfg.setdefault('data_preprocessor',
                                 copy.deepcopy(self.cfg.data_preprocessor))
        scope = self.cfg.get('default_scope')
        with DefaultScope.overwrite_default_scope(scope):
            return MODELS.build(model_cfg)

    def _freeze(self) -> None:
        self.model.requires_grad_(False)
        self.model.eval()
        # Whoever puts a whole tree of modules into training mode does not
        # reach this one: noise in the teacher is noise in the target.
        self.model.train = lambda mode=True: self.model

    def follow(self, student: nn.Module) -> 'FrozenTeacher':
        """Move to the student's device, and take its memory layout."""
        self.model.to(next(student.parameters()).device)
        if not mmcv_operators(self.model) and any(
                p.dim() == 4 and not p.is_contiguous()
                for p in student.parameters()):
            self.model.to(memory_format=torch.channels_last)
        return self

    def class_difference(self,
                         classes: Optional[Sequence[str]]) -> Optional[str]:
        """How the classes it was trained on differ from the student's.

        Args:
            classes (Sequence[str], optional): The student's; None where they
                are not known, and nothing can be compared.

        Returns:
            str, optional: None where they are the same, as far as they are
            known.
        """
        ours, theirs = classes, self.classes
        if ours is None or theirs is None or list(ours) == list(theirs):
            return None
        differing = [
            f'{i}: {t!r} against {s!r}'
            for i, (t, s) in enumerate(zip(theirs, ours)) if t != s
        ]
        return (f'the teacher was trained on {len(theirs)} classes, the '
                f'student is on {len(ours)}; they differ at ' +
                ', '.join(differing[:3] or ['the end']))

    def check_classes(self, classes: Optional[Sequence[str]],
                      strict: bool) -> bool:
        """Compare the classes it was trained on with the student's.

        Args:
            classes (Sequence[str], optional): The student's, where known.
            strict (bool): Whether different ones are an error, for scores are
                paired class by class, or worth a warning.

        Returns:
            bool: Whether they are the same, as far as they are known.

        Raises:
            ValueError: If they differ and ``strict``.
        """
        message = self.class_difference(classes)
        if message is None:
            return True
        if strict:
            raise ValueError(
                f'{message}. Scores are paired class by class: use a teacher '
                'of the same classes in the same order, or distil features '
                'only (knowledge FPNFeatures, or of a classifier '
                'HiddenFeatures)')
        print_log(message, logger='current', level=logging.WARNING)
        return False

    def check_score(self, scores: Mapping[str, Any]) -> None:
        """Compare the measured score with the declared one.

        Args:
            scores (Mapping): ``metric`` and ``teacher``, as
                :meth:`StopRule.scores` gives them.

        Raises:
            ValueError: If they are more than 10 % apart.
        """
        declared, measured = self.declared_score, scores.get('teacher')
        if declared is None:
            return
        if measured is None:
            print_log(
                f'teacher.score is {declared:.4f}, but the stop rule needs no '
                'score, so none is measured and nothing is checked',
                logger='current',
                level=logging.WARNING)
            return
        if abs(measured - declared) > 0.1 * abs(declared):
            raise ValueError(
                f'the teacher {self.name} scores {measured:.4f} by '
                f'{scores["metric"]}, but teacher.score says {declared:.4f}: '
                'check its checkpoint, its normalisation and the validation '
                'set, or correct teacher.score')

    def autocast(self, device_type: str):
        """The context that its forward is computed in."""
        if self._precision is None:
            return nullcontext()
        if self._precision is torch.float32:
            return torch.autocast(device_type, enabled=False)
        return torch.autocast(device_type, dtype=self._precision)


def _load_config(config: Union[str, dict]) -> Config:
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
    elif not osp.isfile(osp.expanduser(config)):
        raise FileNotFoundError(
            f'teacher.config should be a config file, "package::path", or a '
            f'dict, but there is no file {config!r}')
    else:
        cfg = Config.fromfile(osp.expanduser(config))
    if 'model' not in cfg:
        raise ValueError('teacher.config should have the key "model", but has '
                         f'{", ".join(cfg) or "none"}')
    return cfg


def _resolve_checkpoint(config: Union[str, dict], checkpoint: Optional[str],
                        cfg: Config) -> Optional[str]:
    if checkpoint != 'auto':
        return checkpoint
    if isinstance(config, str) and '::' in config:
        try:
            return get_config(config, pretrained=True).model_path
        except (AssertionError, AttributeError, KeyError) as error:
            raise ValueError(
                f'the model zoo lists no weights for {config!r}: give '
                'teacher.checkpoint a path or a URL') from error
    if cfg.get('load_from'):
        return cfg.load_from
    raise ValueError(
        'teacher.checkpoint is "auto", but the teacher\'s config is not from '
        'a package\'s model zoo and has no "load_from": give '
        'teacher.checkpoint a path or a URL (or None to take it as it is '
        'built)')


def _load_strictly(model: nn.Module, weights: Mapping[str, Tensor], path: str,
                   name: str) -> None:
    # Buffers that are no weights may differ (normalisation of the input,
    # counters of older BatchNorm).
    own = model.state_dict()
    try:
        result = model.load_state_dict(weights, strict=False)
    except RuntimeError:
        wrong = [
            f'{key} is {tuple(weights[key].shape)} in the file and '
            f'{tuple(own[key].shape)} in the model' for key in own
            if key in weights and weights[key].shape != own[key].shape
        ]
        raise ValueError(
            f'the checkpoint {path} does not fit the teacher {name}: ' +
            _some(wrong) + '. Channels of a prediction layer are anchors x '
            'classes: check num_classes, and that config and checkpoint '
            'belong together') from None
    missing = [
        k for k in result.missing_keys if not k.endswith('num_batches_tracked')
        and not k.startswith('data_preprocessor.')
    ]
    unexpected = [
        k for k in result.unexpected_keys
        if not k.startswith('data_preprocessor.')
    ]
    if missing or unexpected:
        raise ValueError(
            f'the checkpoint {path} is of another architecture than the '
            f'teacher {name}: ' +
            '; '.join(f'{what} {_some(keys)}' for what, keys in (
                ('the file lacks', missing),
                ('the model has no', unexpected)) if keys) +
            '. Give the config that this checkpoint was trained with')


def _some(items: Sequence[str], most: int = 3) -> str:
    rest = len(items) - most
    return ', '.join(items[:most]) + (f' and {rest} more' if rest > 0 else '')


def _classes_of(meta: Mapping) -> Optional[Sequence[str]]:
    """Class names in a checkpoint's meta, of this or an older MMEngine."""
    found = meta.get('dataset_meta') or meta
    if not isinstance(found, Mapping):
        return None
    found = {str(key).lower(): value for key, value in found.items()}
    classes = found.get('classes')
    return tuple(classes) if isinstance(classes, (list, tuple)) else None
