# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Who normalises images before they reach a preprocessor."""
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

# Where data sets, wrappers of data sets and transforms keep transforms.
_NESTED = ('dataset', 'datasets', 'pipeline', 'pipelines', 'branch_pipelines',
           'transform', 'transforms', 'aug', 't')
_ALBU = ('Albu', 'Albumentations')
_TO_FLOAT = ('ToTensor', 'ToFloat', 'ToDtype', 'ConvertImageDtype')


class Norm(NamedTuple):
    """A transform of a pipeline that normalises.

    Attributes:
        name (str): Its type, for messages.
        fields (dict): What it was given.
        is_known (bool): Whether it is the ``Normalize`` of mmcv.
    """
    name: str
    fields: dict
    is_known: bool

    def equals(self, other: 'Norm') -> bool:
        """Whether the two do the same, as far as both are told."""
        common = set(self.fields) & set(other.fields)
        return self.name == other.name and \
            self.is_known == other.is_known and all(
                _same(self.fields[key], other.fields[key]) for key in common)

    def pixel_map(self, channels: int) -> PixelMap:
        """What a known one does to pixels."""
        return PixelMap.of_norm(self.fields['mean'], self.fields['std'],
                                self.fields['to_rgb'], channels)


Norms = Tuple[Norm, ...]


class Pipelines(NamedTuple):
    """What normalises before the preprocessors.

    Attributes:
        train (tuple[Norm]): In the run's training.
        val (tuple[Norm]): In its validation, which scores the teacher.
        teacher (tuple[Norm]): Where the teacher was trained.
        is_teachers_known (bool): Whether its config has said so.
    """
    train: Norms = ()
    val: Norms = ()
    teacher: Norms = ()
    is_teachers_known: bool = False

    def in_training(self) -> Tuple[Norms, Norms]:
        """The run's and the teacher's; nothing where they are the same."""
        same = _equal(self.train, self.teacher)
        return ((), ()) if same else (self.train, self.teacher)

    def in_validation(self) -> Tuple[Norms, Norms]:
        """The run's and the teacher's; nothing where they are the same."""
        same = _equal(self.val, self.teacher)
        return ((), ()) if same else (self.val, self.teacher)


def match_pipelines(teacher: 'FrozenTeacher', runner: Runner,
                    student: nn.Module) -> None:
    """Note in ``teacher.pipelines`` who normalises before a preprocessor.

    Where the run's validation normalises otherwise than the teacher's own
    pipeline does, the teacher's preprocessor is given what it is used to.

    Args:
        teacher (FrozenTeacher): With its config.
        runner (Runner): With its loops built.
        student (nn.Module): The student's data preprocessor.

    Raises:
        ValueError: If a pipeline normalises by what cannot be undone, and the
            other does not do the same.
    """
    preprocessor = teacher.model.data_preprocessor
    train = _of_dataset(runner.train_dataloader.dataset)
    loader = getattr(runner.val_loop, 'dataloader', None)
    val = train if loader is None else _of_dataset(loader.dataset)
    own = _of_config(teacher.cfg)
    # A config that is only a model does not tell. A preprocessor that
    # normalises otherwise than the student's is given raw images. Without one,
    # or with the student's own, the run's pipeline is the nearest to be had.
    found = own if own is not None else (
        train if train and
        (_passes_on(preprocessor) or _do_the_same(preprocessor, student)) else
        ())
    teacher.pipelines = Pipelines(train, val, found, own is not None)
    for where, pair in (('training', teacher.pipelines.in_training()),
                        ('validation', teacher.pipelines.in_validation())):
        _refuse_unknown(where, *pair)
    _tell(teacher)
    run, theirs = teacher.pipelines.in_validation()
    if run or theirs:
        preprocessor.register_forward_pre_hook(_Renormalise(run, theirs))


def _tell(teacher: 'FrozenTeacher') -> None:
    run, theirs = teacher.pipelines.in_training()
    if not (run or theirs):
        return
    raw = not theirs and _passes_on(teacher.model.data_preprocessor)
    print_log(
        f'The run\'s pipeline normalises images by {_names(run)}, that of the '
        f'teacher {teacher.name} by {_names(theirs)}: the teacher is given '
        'what its own would have made of them' +
        (', which are images of 0 to 255: its config normalises nowhere'
         if raw else '') + '.',
        logger='current',
        level=logging.WARNING if raw else logging.INFO)


class _Renormalise:
    """Brings a batch from the run's normalisation to the teacher's."""

    def __init__(self, run: Norms, theirs: Norms) -> None:
        self._norms = run, theirs

    def __call__(self, module: nn.Module, args: tuple) -> tuple:
        batch = dict(args[0])
        inputs = batch['inputs']
        batch['inputs'] = self._map(inputs) if isinstance(
            inputs, Tensor) else [self._map(image) for image in inputs]
        return (batch, *args[1:])

    def _map(self, images: Tensor) -> Tensor:
        run, theirs = (chain(norms, images.shape[-3]) for norms in self._norms)
        map_ = theirs.after(run.inverse())
        return images[..., list(map_.order), :, :] * \
            map_.scale.to(images.device, torch.float32) + \
            map_.shift.to(images.device, torch.float32)


def chain(norms: Norms, channels: int) -> PixelMap:
    """What known normalisations do to pixels, one after the other."""
    map_ = PixelMap.of_norm([0.], [1.], False, channels)
    for norm in norms:
        map_ = norm.pixel_map(channels).after(map_)
    return map_


def _refuse_unknown(where: str, run: Norms, theirs: Norms) -> None:
    unknown = [n.name for n in (*run, *theirs) if not n.is_known]
    if unknown:
        raise ValueError(
            f'the run\'s {where} pipeline normalises images by '
            f'{_names(run)}, the teacher\'s config by {_names(theirs)}, and '
            f'what {unknown[0]} does cannot be undone for the teacher. '
            'Normalise in the data_preprocessor instead (mean, std), or by '
            'Normalize, or give teacher.config the model\'s own pipeline and '
            'data_preprocessor where they are the same as the run\'s')


def _names(norms: Norms) -> str:
    return ', '.join(n.name for n in norms) or 'its data_preprocessor alone'


def _equal(ours: Norms, theirs: Norms) -> bool:
    return len(ours) == len(theirs) and all(
        a.equals(b) for a, b in zip(ours, theirs))


def _passes_on(preprocessor: nn.Module) -> bool:
    """Whether it gives pixels as they come."""
    return getattr(preprocessor, 'mean', None) is None and \
        PixelMap.of_preprocessor(preprocessor, 3, 'teacher').keeps_values


def _do_the_same(first: nn.Module, second: nn.Module) -> bool:
    """Whether two preprocessors make the same of pixels."""
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
    """What a config's pipeline has; None where it has no pipeline."""
    data = cfg.get('data') or {}  # of the older MMDetection
    for given in (cfg.get('train_dataloader'), data.get('train'),
                  cfg.get('train_pipeline'), cfg.get('val_dataloader'),
                  cfg.get('test_dataloader'), data.get('val'),
                  cfg.get('test_pipeline')):
        found = list(_types(given))
        # A data set alone does not tell, such as one with its own transforms.
        if any('Load' in name or 'Pack' in name for name, *_ in found):
            norms = (_norm(name, fields, not origin and name == 'Normalize',
                           origin) for name, fields, origin in found)
            return tuple(n for n in norms if n)
    return None


def _types(cfg: Any, origin: str = '') -> Iterator[Tuple[str, dict, str]]:
    """Every nested dict with a type: its name, fields and library."""
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


def _same(ours: Any, theirs: Any) -> bool:
    """Whether two fields are the same, as lists, tuples or arrays."""
    try:
        return torch.allclose(*(torch.as_tensor(v, dtype=torch.float64)
                                for v in (ours, theirs)))
    except (RuntimeError, TypeError, ValueError):  # no numbers
        return str(ours) == str(theirs)
