# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Normalization of images in a pipeline, before the data preprocessor.

The student's pipeline may normalize in another way than the teacher's did in
its own training. Then the teacher has to be given other pixels.
"""
import logging
import re
from typing import TYPE_CHECKING, Any, Iterator, NamedTuple, Optional, Tuple

import torch
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import Tensor, nn

from .pixel_map import PixelMap

if TYPE_CHECKING:
    from .teacher import FrozenTeacher

__all__ = ['Norm', 'Pipelines', 'match_pipelines']

# Attributes in which data sets, wrappers and transforms have transforms.
_NESTED = ('dataset', '_dataset', 'datasets', 'pipeline', 'pipelines',
           'branch_pipelines', 'transform', 'transforms', 'aug', 't')
_ALBU = ('Albu', 'Albumentations')
_TO_FLOAT = ('ToTensor', 'ToFloat', 'ToDtype', 'ConvertImageDtype')


class Norm(NamedTuple):
    """A transform of a pipeline that normalizes images.

    Attributes:
        name (str): Its type, for messages.
        fields (dict): Its fields.
        is_known (bool): Whether it is the ``Normalize`` of mmcv.
    """
    name: str
    fields: dict
    is_known: bool

    def equals(self, other: 'Norm') -> bool:
        """Whether two transforms do the same, by the fields that both have."""
        common = set(self.fields) & set(other.fields)
        return self.name == other.name and \
            self.is_known == other.is_known and all(
                _same(self.fields[key], other.fields[key]) for key in common)

    def pixel_map(self, channels: int) -> PixelMap:
        """The pixel map of a known transform."""
        return PixelMap.of_norm(self.fields['mean'], self.fields['std'],
                                self.fields['to_rgb'], channels)


Norms = Tuple[Norm, ...]


class Pipelines(NamedTuple):
    """Normalizing transforms in the pipelines of a run and its teacher.

    Attributes:
        train (tuple[Norm]): In the training of the run.
        val (tuple[Norm]): In the validation of the run, which also scores the
            teacher.
        teacher (tuple[Norm]): In the teacher's own training.
        is_teachers_known (bool): Whether ``teacher`` comes from the teacher's
            config. Otherwise it is a guess.
    """
    train: Norms = ()
    val: Norms = ()
    teacher: Norms = ()
    is_teachers_known: bool = False

    def in_training(self) -> Tuple[Norms, Norms]:
        """The run's and the teacher's, both empty if they are the same."""
        same = _equal(self.train, self.teacher)
        return ((), ()) if same else (self.train, self.teacher)

    def in_validation(self) -> Tuple[Norms, Norms]:
        """The run's and the teacher's, both empty if they are the same."""
        same = _equal(self.val, self.teacher)
        return ((), ()) if same else (self.val, self.teacher)


def match_pipelines(teacher: 'FrozenTeacher', runner: Runner,
                    student: nn.Module) -> None:
    """Set ``teacher.pipelines``, and adapt the teacher to the run's pipeline.

    If the run's validation normalizes in another way than the teacher's own
    pipeline, a hook of the teacher's preprocessor converts the images.

    Args:
        teacher (FrozenTeacher): The teacher.
        runner (Runner): The run; its loops are built.
        student (nn.Module): The student's data preprocessor.

    Raises:
        ValueError: If the pipelines differ, and one normalizes in a way that
            cannot be undone.
    """
    preprocessor = teacher.model.data_preprocessor
    train = _of_dataset(runner.train_dataloader.dataset)
    loader = getattr(runner.val_loop, 'dataloader', None)
    val = train if loader is None else _of_dataset(loader.dataset)
    own = _of_config(teacher.cfg)
    # A config that has only a model does not say what its pipeline did. If the
    # teacher's preprocessor normalizes in another way than the student's, it
    # is given images of 0 to 255. If it does not normalize, or as the
    # student's does, the best guess is the run's pipeline.
    found = own if own is not None else (
        train if train and
        (_passes_on(preprocessor) or _do_the_same(preprocessor, student)) else
        ())
    teacher.pipelines = Pipelines(train, val, found, own is not None)
    for where, pair in (('training', teacher.pipelines.in_training()),
                        ('validation', teacher.pipelines.in_validation())):
        _refuse_unknown(where, *pair)
    _tell(teacher)
    run_norms, teacher_norms = teacher.pipelines.in_validation()
    if run_norms or teacher_norms:
        preprocessor.register_forward_pre_hook(
            _Renormalize(run_norms, teacher_norms))


def _tell(teacher: 'FrozenTeacher') -> None:
    run_norms, teacher_norms = teacher.pipelines.in_training()
    if not (run_norms or teacher_norms):
        return
    raw = not teacher_norms and _passes_on(teacher.model.data_preprocessor)
    print_log(
        f'The run\'s pipeline normalizes images by {_names(run_norms)}, that '
        f'of the teacher {teacher.name} by {_names(teacher_norms)}: the '
        'teacher is given what its own would have made of them' +
        (', which are images of 0 to 255: its config normalizes nowhere'
         if raw else '') + '.',
        logger='current',
        level=logging.WARNING if raw else logging.INFO)


class _Renormalize:
    """Converts a batch from the run's normalization to the teacher's."""

    def __init__(self, run_norms: Norms, teacher_norms: Norms) -> None:
        self._norms = run_norms, teacher_norms

    def __call__(self, module: nn.Module, args: tuple) -> tuple:
        batch = dict(args[0])
        inputs = batch['inputs']
        batch['inputs'] = self._map(inputs) if isinstance(
            inputs, Tensor) else [self._map(image) for image in inputs]
        return (batch, *args[1:])

    def _map(self, images: Tensor) -> Tensor:
        run_map, teacher_map = (
            chain(norms, images.shape[-3]) for norms in self._norms)
        map_ = teacher_map.after(run_map.inverse())
        return images[..., list(map_.order), :, :] * \
            map_.scale.to(images.device, torch.float32) + \
            map_.shift.to(images.device, torch.float32)


def chain(norms: Norms, channels: int) -> PixelMap:
    """The pixel map of known transforms, one after the other."""
    map_ = PixelMap.of_norm([0.], [1.], False, channels)
    for norm in norms:
        map_ = norm.pixel_map(channels).after(map_)
    return map_


def _refuse_unknown(where: str, run_norms: Norms,
                    teacher_norms: Norms) -> None:
    unknown = [n.name for n in (*run_norms, *teacher_norms) if not n.is_known]
    if unknown:
        raise ValueError(
            f'the run\'s {where} pipeline normalizes images by '
            f'{_names(run_norms)}, the teacher\'s config by '
            f'{_names(teacher_norms)}, and what {unknown[0]} does cannot be '
            'undone for the teacher. '
            'Normalize in the data_preprocessor instead (mean, std), or by '
            'Normalize, or give teacher.config the model\'s own pipeline and '
            'data_preprocessor where they are the same as the run\'s')


def _names(norms: Norms) -> str:
    return ', '.join(n.name for n in norms) or 'its data_preprocessor alone'


def _equal(run_norms: Norms, teacher_norms: Norms) -> bool:
    return len(run_norms) == len(teacher_norms) and all(
        a.equals(b) for a, b in zip(run_norms, teacher_norms))


def _passes_on(preprocessor: nn.Module) -> bool:
    """Whether a preprocessor leaves the values of pixels as they are."""
    return getattr(preprocessor, 'mean', None) is None and \
        PixelMap.of_preprocessor(preprocessor, 3, 'teacher').keeps_values


def _do_the_same(first: nn.Module, second: nn.Module) -> bool:
    """Whether two preprocessors have the same pixel map."""
    try:
        maps = [
            PixelMap.of_preprocessor(module, 3, 'teacher')
            for module in (first, second)
        ]
    except ValueError:
        return False
    return maps[0].order == maps[1].order and all(
        torch.allclose(*pair) for pair in zip(maps[0][1:3], maps[1][1:3]))


# -- the run, which is built ------------------------------------------------


def _of_dataset(dataset: Any) -> Norms:
    return tuple(n for n in map(_norm_of, _walk(dataset, set())) if n)


def _walk(part: Any, seen: set) -> Iterator[Any]:
    """Every data set, wrapper and transform within another."""
    if id(part) in seen or isinstance(part, (str, bytes, Tensor, type)):
        return
    seen.add(id(part))
    if isinstance(part, (dict, list, tuple, nn.Sequential, nn.ModuleList)):
        for item in part.values() if isinstance(part, dict) else part:
            yield from _walk(item, seen)
    elif hasattr(part, '__dict__'):
        yield part
        for name in _NESTED:
            if name in vars(part):
                yield from _walk(vars(part)[name], seen)


def _norm_of(transform: Any) -> Optional[Norm]:
    kind = type(transform)
    known = any(
        base.__name__ == 'Normalize' and base.__module__.startswith('mmcv')
        and kind.transform is base.transform for base in kind.__mro__)
    names = ' '.join(base.__name__ for base in kind.__mro__)
    fields = {k: v for k, v in vars(transform).items() if k[0] != '_'}
    return _norm(kind.__name__, fields, known,
                 kind.__module__.split('.')[0], names)


# -- the teacher, of which there is a config --------------------------------


def _of_config(cfg: Any) -> Optional[Norms]:
    """The normalizing transforms of a config; None if it has no pipeline."""
    data = cfg.get('data') or {}  # in configs of MMDetection 2.x
    for given in (cfg.get('train_dataloader'), data.get('train'),
                  cfg.get('train_pipeline'), cfg.get('val_dataloader'),
                  cfg.get('test_dataloader'), data.get('val'),
                  cfg.get('test_pipeline')):
        found = list(_types(given))
        # Without such a transform it is no whole pipeline: a data set may have
        # transforms that are not in the config.
        if any('Load' in name or 'Pack' in name for name, *_ in found):
            norms = (_norm(name, fields, not origin and name == 'Normalize',
                           origin) for name, fields, origin in found)
            return tuple(n for n in norms if n)
    return None


def _types(cfg: Any, origin: str = '') -> Iterator[Tuple[str, dict, str]]:
    """Name, fields and library of every nested dict with a ``type``."""
    if isinstance(cfg, (list, tuple)):
        for item in cfg:
            yield from _types(item, origin)
    elif isinstance(cfg, dict):
        kind = cfg.get('type')
        name, library = '', origin
        if kind is not None:
            path = kind if isinstance(kind, str) else \
                f'{kind.__module__}.{kind.__name__}'
            name = re.split(r'[./]', path)[-1]
            if '/' in path or path.startswith(
                ('torchvision', 'albumentations')):
                library = re.split(r'[./]', path)[0]
            yield name, {k: v for k, v in cfg.items() if k != 'type'}, library
        for value in cfg.values():
            yield from _types(value,
                              'albumentations' if name in _ALBU else library)


def _norm(name: str,
          fields: dict,
          known: bool,
          origin: str,
          names: str = '') -> Optional[Norm]:
    by_name = re.search('normali[sz]e', f'{name} {names}', re.IGNORECASE)
    if known or by_name or name in _TO_FLOAT and origin in ('torchvision',
                                                            'albumentations'):
        return Norm(name, {
            'to_rgb': True,
            **fields
        } if known else fields, known)
    return None


def _same(first: Any, second: Any) -> bool:
    """Whether two fields are equal, be they lists, tuples or arrays."""
    try:
        return torch.allclose(*(torch.as_tensor(v, dtype=torch.float64)
                                for v in (first, second)))
    except (RuntimeError, TypeError, ValueError):  # no numbers
        return str(first) == str(second)
