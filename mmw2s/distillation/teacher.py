# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The frozen teacher: how it is built, loaded and checked."""
import hashlib
import inspect
import json
import logging
from functools import cached_property
from typing import Any, Dict, Mapping, Optional, Sequence, Union

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from torch import nn

from mmw2s.records.metric_names import scale_warning
from mmw2s.utils.building import check_config
from mmw2s.utils.cache import weights_hash
from mmw2s.utils.checkpoint import load_weights
from mmw2s.utils.fields import check_text
from mmw2s.utils.timing import Stopwatch
from mmw2s.utils.versions import mmcv_operators
from .adapters import with_base_weights
from .label_names import Names, names_in
from .module_classifier import ModuleClassifier, module_name
from .pipelines import Pipelines
from .smaller_input import shrink
from .strict_loading import load_strictly
from .teacher_config import (build_model, found_beside, load_config,
                             refuse_random_head, resolve_checkpoint,
                             without_downloads)
from .teacher_fields import (PRECISIONS, check_teacher_fields, merge_options,
                             teacher_fields)

__all__ = ['FrozenTeacher']


class FrozenTeacher:
    """A trained model that is never trained further.

    It is no submodule of the student. So it is not in the student's state
    dict, optimizer, DDP buckets, EMA copy or checkpoint. It stays in eval
    mode even if ``train()`` is called, and none of its parameters requires a
    gradient.

    Args:
        config (str or dict, optional): Where it comes from: a path to a
            config, a config of an installed package
            (``'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'``), or a dict
            with the key ``model`` (and ``default_scope``). Defaults to None:
            ``module`` is given instead.
        checkpoint (str, optional): Path or URL of its weights. ``'auto'``
            takes the weights that the package's model zoo lists for the
            config, or the config's own ``load_from``. None keeps the weights
            that building gives, with a warning: they are random, unless the
            model's own code loads some. If a checkpoint is given, nothing
            else is loaded: the config's ``pretrained`` is turned off.
            Defaults to ``'auto'``.
        score (float, optional): Its expected score, in the stop rule's
            metric. If the measured score is more than 10 % away, the run does
            not start: most often the file or the data are the wrong ones.
            Defaults to None: not checked.
        precision (str): Precision of its forward: ``'run'`` (that of the
            student), ``'fp32'``, ``'fp16'`` or ``'bf16'``. Defaults to
            ``'run'``.
        cfg_options (dict, optional): Overrides merged into the config, such
            as ``{'model.bbox_head.num_classes': 3}``. Defaults to None.
        classes (Sequence[str], optional): The name of each of its outputs, in
            order. Defaults to None: the names in its checkpoint. (Give them
            if the checkpoint has none, or has one twice.)
        trust_checkpoint (bool): Whether the checkpoint may run its author's
            code when it is unpickled. Defaults to False.
        scale (float): Share of the images' height and width at which it sees
            them, in training and when it is scored. Its forward costs about
            ``scale ** 2``. At 0.5 its feature maps teach the student's next
            coarser levels; scores of anchors and proposals, which belong to
            one place each, are not distilled. Defaults to 1.0.
        fuse (bool): Whether BatchNorm is folded into the convolutions before
            it, once all that reads the weights has done so. See
            :func:`~mmw2s.distillation.folding.fold_batch_norms`. Defaults to
            False.
        module (str or dict, optional): In place of ``config``, a module that
            is no model of MMEngine, see
            :class:`~mmw2s.distillation.ModuleClassifier`. Then ``'auto'``
            keeps the weights that it has. Defaults to None.
        data_preprocessor (dict, optional): ``mean``, ``std`` and
            ``bgr_to_rgb`` of ``module``. Defaults to None.
        permute (bool): Whether it is shown another image of the batch than
            the student is compared on. It is a control: losses and costs are
            those of a teacher, what it could teach is gone. In scoring it
            sees the images as they are. Defaults to False.

    Raises:
        FileNotFoundError: If the config or the checkpoint is missing.
        RuntimeError: If the checkpoint cannot be downloaded.
        ValueError: If a field is wrong, or the weights are damaged or do not
            fit the model.

    Examples:
        >>> teacher = FrozenTeacher(
        >>>     'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py')
        >>> teacher.follow(student)
    """

    #: Normalization in the pipelines, before its preprocessor.
    pipelines = Pipelines()

    def __init__(self,
                 config: Union[str, dict, None] = None,
                 checkpoint: Optional[str] = 'auto',
                 score: Optional[float] = None,
                 precision: str = 'run',
                 cfg_options: Optional[dict] = None,
                 classes: Optional[Sequence[str]] = None,
                 trust_checkpoint: bool = False,
                 scale: float = 1.0,
                 fuse: bool = False,
                 module: Union[str, dict, None] = None,
                 data_preprocessor: Optional[dict] = None,
                 permute: bool = False) -> None:
        check_teacher_fields(config, checkpoint, score, precision, cfg_options,
                             classes, trust_checkpoint, scale, fuse, module,
                             data_preprocessor, permute)
        if module is not None:
            config = dict(
                model=dict(
                    type='ModuleClassifier',
                    module=module,
                    data_preprocessor=data_preprocessor))
            checkpoint = None if checkpoint == 'auto' else checkpoint
        self.cfg = load_config(config)
        if cfg_options:
            merge_options(self.cfg, cfg_options)
        kind = self.cfg.model.get('type', 'teacher')
        self.name = config if isinstance(config, str) else \
            module_name(kind if module is None else module)
        self.declared_score = score
        self.classes: Names = None if classes is None else tuple(classes)
        #: Share of the height and width of the images that it sees.
        self.scale = float(scale)
        self.stopwatch = Stopwatch()
        #: Precision of its forward; None: that of the run.
        self.precision = PRECISIONS[precision]
        #: Whether its BatchNorm is to be folded.
        self.fuse = fuse
        #: Whether it sees another image than the student, as a control.
        self.permute = permute
        self.checkpoint = resolve_checkpoint(config, checkpoint, self.cfg)
        self._model_cfg, inits = self.cfg.model, []
        if self.checkpoint is not None:
            self._model_cfg, inits = without_downloads(self.cfg.model)
        self.model = build_model(self.cfg, self._model_cfg)
        if self.checkpoint is None:
            refuse_random_head(self.model, self._model_cfg)
            what = 'building its config gives (init_cfg is not applied)' \
                if module is None else 'teacher.module gives'
            print_log(
                f'The teacher {self.name} is given no checkpoint: its weights '
                f'are what {what}. Random ones teach nothing.',
                logger='current',
                level=logging.WARNING)
        else:
            weights, meta = load_weights(self.checkpoint, trust_checkpoint)
            weights = with_base_weights(self.model, weights, inits,
                                        trust_checkpoint)
            # The file has the module's own names.
            loaded = self.model.model if isinstance(
                self.model, ModuleClassifier) else self.model
            load_strictly(loaded, weights, self.checkpoint, self.name)
            self.classes = self.classes or _named_classes(meta)
        self.device = torch.device('cpu')
        self._freeze()

    @classmethod
    def from_cfg(cls,
                 cfg: Union[str, dict],
                 beside: Optional[str] = None) -> 'FrozenTeacher':
        """Build from the ``teacher`` field of the hook.

        Args:
            cfg (str or dict): A config, or a dict of the fields above.
            beside (str, optional): The run's config file. A relative path
                that the current folder does not have is looked up beside it.
        """
        cls.check_cfg(cfg)
        return cls(**found_beside(teacher_fields(cfg), beside))

    @classmethod
    def check_cfg(cls, cfg: Union[str, dict]) -> None:
        """Refuse a wrong ``teacher`` field of the hook. No file is read.

        Raises:
            TypeError: If a field is unknown. The message names the nearest.
            ValueError: If a field is wrong, or there is no config.
        """
        if not isinstance(cfg, (dict, Config)):
            check_text(
                'teacher', cfg, 'a config (a path, "package::path" or '
                'a dict with the key "model"), or a dict with the key '
                '"config"')
            return
        if 'model' in cfg:
            beside = set(cfg) & set(inspect.signature(cls).parameters)
            if beside:
                raise ValueError(
                    'teacher has the key "model" of a config beside '
                    f'{", ".join(sorted(beside))}: put the model into '
                    'teacher.config, config=dict(model=...)')
            check_teacher_fields(cfg)
            return
        check_config('teacher', cls, cfg)
        if not {'config', 'module'} & set(cfg):
            raise ValueError('teacher should be a config, or a dict with the '
                             f'key "config" or "module", but got {cfg!r}')
        check_teacher_fields(**cfg)

    def _freeze(self) -> None:
        self.model.requires_grad_(False)
        self.model.eval()
        # A parent's train() must not reach it: dropout in the teacher would
        # be noise in the student's target.
        self.model.train = lambda mode=True: self.model

    def follow(self, student: nn.Module) -> 'FrozenTeacher':
        """Move to the student's device, and take its memory layout."""
        self.device = next(student.parameters()).device
        self.model.to(self.device)
        if not mmcv_operators(self.model) and any(
                p.dim() == 4 and not p.is_contiguous()
                for p in student.parameters()):
            self.model.to(memory_format=torch.channels_last)
        return self

    @torch.no_grad()
    def predict(self, batch: Any) -> Any:
        """Predict on a batch of the run's validation.

        Args:
            batch (Any): What the validation's loader gives.

        Returns:
            list: The data samples, with predictions in the coordinates of the
            original images.
        """
        if self.scale == 1:
            return self.model.val_step(batch)
        data = self.model.data_preprocessor(batch, False)
        inputs, samples = shrink(data['inputs'], data.get('data_samples'),
                                 self.scale)
        return self.model(inputs, samples, mode='predict')

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
            percent = scale_warning('teacher.score', declared,
                                    scores['metric'], measured)
            raise ValueError(
                f'the teacher {self.name} scores {measured:.4f} by '
                f'{scores["metric"]}, but teacher.score says {declared:.4f}: '
                'check its checkpoint, its normalization and the validation '
                'set, or correct teacher.score' +
                (f'. {percent}' if percent else ''))

    @cached_property
    def fingerprint(self) -> Dict[str, str]:
        """Hashes of its weights and its config, which determine its outputs.

        They go into the run's record, and into the key of its cached score.
        """
        parts = [self._model_cfg, self.cfg.get('data_preprocessor')]
        if self.scale != 1:
            parts.append(self.scale)
        if self.permute:
            parts.append('permuted')
        described = json.dumps(parts, sort_keys=True, default=str)
        return dict(
            weights_hash=weights_hash(self.model),
            config_hash=hashlib.sha256(described.encode()).hexdigest())

    def check_resumed(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Refuse to resume a run that began with another teacher.

        The score and the decisions so far belong to the first teacher.

        Args:
            rows (Sequence[Mapping]): The rows of the teacher in the record.
                There are none if the hook is new to the run.

        Raises:
            ValueError: If weights or config differ. It is only a warning if
                the record has no hash of them (mmw2s 0.1.0), or the teacher
                has no checkpoint.
        """
        if not rows:
            return
        began, now = rows[0], self.fingerprint
        differing = [
            key.partition('_')[0] for key, value in now.items()
            if began.get(key, value) != value
        ]
        who = f'{began.get("name")} ({began.get("checkpoint")})'
        if differing and self.checkpoint is not None:
            raise ValueError(
                f'this run began with the teacher {who}, but is resumed with '
                f'{self.name} ({self.checkpoint}) of other '
                f'{" and ".join(differing)}: give it the teacher that it '
                'began with. For another one begin a new run, with '
                'load_from=<the checkpoint> and resume=False, in another '
                'work_dir')
        if differing or not set(now) <= set(began):
            print_log(
                f'Whether the teacher is the one that this run began with, '
                f'{who}, cannot be made sure: ' +
                ('it has no checkpoint, and its weights are others'
                 if differing else 'its record names no hash of it'),
                logger='current',
                level=logging.WARNING)


def _named_classes(meta: Mapping) -> Names:
    """Class names in a checkpoint's meta, of this or an older MMEngine."""
    if meta.get('dataset_meta'):
        return names_in(meta['dataset_meta'])
    # A text there is the name of a data set.
    return names_in({k: v for k, v in meta.items() if not isinstance(v, str)})
