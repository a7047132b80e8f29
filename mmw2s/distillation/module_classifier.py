# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Teachers that are no models of MMEngine: any module that gives logits."""
import copy
import importlib
import importlib.util
import os.path as osp
from typing import Any, List, Mapping, Optional, Tuple, Union

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor, nn

from .failures import retold

__all__ = ['ModuleClassifier', 'is_file', 'module_name']


def is_file(module: Any) -> bool:
    """Whether a field ``module`` names a file, not something to import."""
    return isinstance(module, str) and ':' not in module


def module_name(module: Any) -> str:
    """What a field ``module`` names, for messages."""
    kind = module.get('type') if isinstance(module, Mapping) else module
    return kind if isinstance(kind, str) else getattr(kind, '__name__',
                                                      str(kind))


@MODELS.register_module()
class ModuleClassifier(BaseModel):
    """Any module that gives class logits, as a model that can be a teacher.

    Its ``model`` is the module, whose parts are called ``'model.layer4'`` and
    the like. Its ``head`` gives the logits, (N, C): the module's output, the
    ``logits`` of it (as transformers has them), or the first of several.

    Args:
        module (str or dict): One of these:

            - ``'package.module:name'``: a class or a function that gives a
              module, or a module, which is copied;
            - a dict of such a ``type`` and the arguments of its call;
            - the path of a TorchScript file, or of a program of
              ``torch.export`` that ends in ``.pt2``. Within TorchScript no
              module can be watched; it gives logits alone.
        data_preprocessor (dict, optional): ``mean`` and ``std`` of pixels of
            0 to 255, and ``bgr_to_rgb``. Defaults to None: those that the
            module has (``pretrained_cfg``, in timm).

    Raises:
        ModuleNotFoundError: If the package is not installed.
        ValueError: If there is no such module, it cannot be built, or its
            normalization is not known.

    Examples:
        >>> model = ModuleClassifier(
        >>>     dict(type='torchvision.models:resnet18', weights=None),
        >>>     dict(mean=[123.675, 116.28, 103.53],
        >>>          std=[58.395, 57.12, 57.375], bgr_to_rgb=True))
    """

    def __init__(self,
                 module: Union[str, dict],
                 data_preprocessor: Optional[dict] = None) -> None:
        built = _load(module) if is_file(module) else _build(module)
        if data_preprocessor is None:
            data_preprocessor = _own_normalization(built, module_name(module))
        super().__init__(
            data_preprocessor=dict(
                dict(type='ImgDataPreprocessor'), **data_preprocessor))
        self.model = built
        self.head = _Logits()

    def forward(self,
                inputs: Tensor,
                data_samples: Optional[list] = None,
                mode: str = 'tensor') -> Any:
        """Logits, predictions in the data samples, or the cross entropy.

        Args:
            inputs (Tensor): Images, shape (N, C, H, W).
            data_samples (list, optional): mmpretrain's data samples.
            mode (str): ``'tensor'``, ``'predict'`` or ``'loss'``.

        Raises:
            ValueError: If the module gives no logits, or what is evaluated
                are no classes.
        """
        logits = self.head(self.model(inputs))
        if mode == 'tensor':
            return logits
        # timm's module without a head gives features.
        has_head = getattr(self.model, 'num_classes', None) != 0
        if not (has_head and isinstance(logits, Tensor) and logits.dim() == 2
                and all(
                    hasattr(sample, 'set_pred_score')
                    for sample in data_samples or [None])):
            raise ValueError(
                f'{type(self.model).__name__} gives no logits (N, C), or they '
                'are not what is evaluated, so that it cannot be scored: give '
                'its score, stop=dict(type="SurpassTeacher", metric=..., '
                'teacher_score=<number>), or use stop=dict(type="At", ...)')
        if mode == 'loss':
            soft = 'gt_score' in data_samples[0]
            return dict(
                loss=F.cross_entropy(
                    logits,
                    torch.stack([s.gt_score
                                 for s in data_samples]) if soft else torch.
                    cat([s.gt_label for s in data_samples])))
        for sample, scores in zip(data_samples, logits.softmax(1)):
            sample.set_pred_score(scores)
            sample.set_pred_label(scores.argmax(0, keepdim=True))
        return data_samples


class _Logits(nn.Module):
    """Finds the logits in what a module gives."""

    def forward(self, output: Any) -> Any:
        if hasattr(output, 'logits'):
            return output.logits
        if isinstance(output, Mapping):
            return output.get('logits', output)
        if isinstance(output, (list, tuple)) and output:
            return output[0]
        return output


def _build(module: Union[str, dict]) -> nn.Module:
    kind, arguments = _type_and_arguments(module)
    made = _imported(kind) if isinstance(kind, str) else kind
    name = module_name(module)
    if isinstance(made, nn.Module):
        if arguments:
            raise ValueError(
                f'teacher.module: {name} is a module already, but is given '
                f'{", ".join(arguments)}: leave them out')
        return copy.deepcopy(made)
    if callable(made):
        with retold(lambda error: (
                f'teacher.module: {name}({_listed(arguments)}) failed '
                f'{error}. If it downloads weights, give it those of a file, '
                'or let it build without any and give teacher.checkpoint')):
            made = made(**arguments)
    if not isinstance(made, nn.Module):
        raise ValueError(
            f'teacher.module should give a torch.nn.Module, but {name} gives '
            f'a {type(made).__name__}')
    return made


def _type_and_arguments(module: Any) -> Tuple[Any, dict]:
    given = dict(module) if isinstance(module, Mapping) else dict(type=module)
    return given.pop('type'), given


def _imported(path: str) -> Any:
    """What ``'package.module:name.of.it'`` names."""
    where, _, names = path.partition(':')
    package = where.split('.')[0]
    if not (package and names) or importlib.util.find_spec(package) is None:
        raise ModuleNotFoundError(
            f'teacher.module is {path!r}, but the package '
            f'{package or "before the colon"} is not installed, nor on '
            'PYTHONPATH')
    with retold(lambda error:
                (f'teacher.module is {path!r}, which should be '
                 f'"package.module:name", but cannot be imported {error}')):
        found = importlib.import_module(where)
        for name in names.split('.'):
            found = getattr(found, name)
    return found


def _load(path: str) -> nn.Module:
    """A program from a file."""
    path = osp.expanduser(path)
    if not osp.isfile(path):
        raise ValueError(
            f'teacher.module is {path!r}, but there is no such file: give a '
            'TorchScript file, a program of torch.export (.pt2), or '
            '"package.module:name"')
    with retold(lambda error: (
            f'teacher.module: {path} is no '
            f'{"program of torch.export" if is_export else "TorchScript"} '
            f'that can be read {error}. Files of torch.export end in .pt2; '
            'weights alone are teacher.checkpoint')):
        is_export = path.endswith('.pt2')
        if not is_export:
            return torch.jit.load(path, map_location='cpu')
        program = torch.export.load(path)
    if _trains(program.graph):
        raise ValueError(
            f'teacher.module: {path} was exported in training mode: export it '
            'after eval()')
    # So that its modules have their names, and can be watched.
    return torch.export.unflatten(program)


def _trains(graph: torch.fx.Graph) -> bool:
    """Whether dropout, BatchNorm or the like is as in training."""
    for node in graph.nodes:
        schema = getattr(node.target, '_schema', None)
        names = [argument.name for argument in schema.arguments] \
            if schema else []
        given = {**dict(zip(names, node.args)), **node.kwargs}
        if given.get('train') is True or given.get('training') is True:
            return True
    return False


def _own_normalization(module: nn.Module, name: str) -> dict:
    known = getattr(module, 'pretrained_cfg', None)
    if isinstance(known, Mapping) and {'mean', 'std'} <= set(known):
        return dict(
            mean=_in_pixels(known['mean']),
            std=_in_pixels(known['std']),
            bgr_to_rgb=True)
    raise ValueError(
        f'teacher.module {name} does not tell how its images are normalized: '
        'give teacher.data_preprocessor=dict(mean=[...], std=[...], '
        'bgr_to_rgb=...), of pixels of 0 to 255 (255 times those of images of '
        '0 to 1), or dict() if it takes pixels as the data set has them')


def _in_pixels(values: Any) -> List[float]:
    return [255. * value for value in values]


def _listed(arguments: dict) -> str:
    return ', '.join(f'{key}={value!r}' for key, value in arguments.items())
