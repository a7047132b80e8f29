# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The cache of teachers' scores."""
import copy
import hashlib
import inspect
import json
import math
import os
import os.path as osp
import pickle
from importlib import metadata
from typing import Any, Dict, Iterable, Iterator, Optional, Set

from mmengine.config import Config
from mmengine.runner import Runner

from mmw2s.distillation.label_names import inner_datasets
from mmw2s.distillation.teacher import FrozenTeacher
from mmw2s.utils.cache import keep, kept_at, read_kept
from mmw2s.utils.weight_files import sha256_of
from mmw2s.version import __version__

__all__ = ['cache_path', 'read_score', 'write_score']

Metrics = Dict[str, Optional[float]]

#: To be increased when the hash or the format of an entry changes.
_FORMAT = 2
_LARGEST = 1 << 20  # bytes of an entry
_WHAT = 'a teacher\'s score'
# Packages that compute scores, of both package families.
_PACKAGES = ('torch', 'mmengine', 'onedl-mmengine', 'mmcv', 'onedl-mmcv',
             'mmdet', 'onedl-mmdetection', 'mmpretrain', 'onedl-mmpretrain',
             'mmsegmentation', 'onedl-mmsegmentation', 'mmpose',
             'onedl-mmpose', 'pycocotools', 'faster-coco-eval', 'lvis',
             'xtcocotools', 'torchmetrics', 'scikit-learn')


def cache_path(teacher: FrozenTeacher, runner: Runner) -> Optional[str]:
    """The file of a teacher's score by the run's validation.

    Its name is a hash of everything that the score depends on: the teacher's
    model, weights, preprocessor and classes; the data that the data sets have
    loaded, and size and times of their files; the evaluator and its files; and
    the code of all of these, or the versions of their packages.

    Args:
        teacher (FrozenTeacher): The teacher.
        runner (Runner): The run; its validation loop is built.

    Returns:
        str, optional: Path of the file. None if parts of the run were not
        built from a config, or if the loaded data cannot be hashed.
    """
    configs = [runner._val_dataloader, runner.cfg.get('val_evaluator')]
    if not all(isinstance(cfg, (dict, list)) for cfg in configs):
        return None
    datasets = list(_leaves(runner.val_dataloader.dataset))
    if not all(hasattr(dataset, 'get_data_info') for dataset in datasets):
        return None
    digest = hashlib.sha256()
    # mmpretrain's configs keep the preprocessor beside the model.
    described = Config(
        dict(
            format=_FORMAT,
            versions=_versions(),
            model=teacher.cfg.model.to_dict(),
            preprocessor=teacher.cfg.get('data_preprocessor'),
            # The teacher's outputs may be selected by these names.
            classes=teacher.classes,
            scale=teacher.scale,
            # The images may be converted from one normalization to another.
            pipelines=repr(teacher.pipelines.in_validation()),
            data=copy.deepcopy(configs)))
    digest.update(
        json.dumps(described.to_dict(), sort_keys=True, default=str).encode())
    for path in _named_files(configs):
        digest.update(sha256_of(path).encode())
    for folder in _named_folders(configs[1]):
        for parent, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                digest.update(_state(osp.join(parent, name)))
    try:
        for dataset in datasets:
            _add_content(digest, dataset)
    except (AttributeError, TypeError, pickle.PicklingError):
        return None  # data that cannot be pickled cannot be compared
    metrics = getattr(runner.val_loop.evaluator, 'metrics', ())
    for path in sorted(
            _sources([
                *datasets, *metrics, *teacher.model.modules(),
                *(step for dataset in datasets for step in getattr(
                    getattr(dataset, 'pipeline', None), 'transforms', ()))
            ])):
        digest.update(sha256_of(path).encode())
    digest.update(teacher.fingerprint['weights_hash'].encode())
    return kept_at('teacher_scores', digest, 'json')


def read_score(path: str) -> Optional[Metrics]:
    """Read the metrics in a file of the cache, in their order.

    Returns:
        dict, optional: Metric -> score. None if there is no such file. None
        and a warning if the file is not as :func:`write_score` writes it.
    """
    return read_kept(path, _WHAT, _read)


def write_score(path: str, metrics: Metrics) -> None:
    """Write metrics to the cache; if this fails, warn and go on."""
    keep(path, _WHAT, lambda file: json.dump(_entry(path, metrics), file))


def _read(path: str) -> Metrics:
    # Not what is too large to be written here.
    if osp.getsize(path) > _LARGEST:
        raise ValueError('it is no small file')
    with open(path, encoding='utf-8') as file:
        entry = json.load(file)
    metrics = entry['metrics']
    if entry != _entry(path,
                       metrics) or not all(map(_is_score, metrics.values())):
        raise ValueError('its content is not what was written')
    return metrics


def _entry(path: str, metrics: Metrics) -> Dict[str, Any]:
    # The check sum includes the name, because a renamed file would be taken
    # for other data, and the order of the metrics.
    name = osp.splitext(osp.basename(path))[0]
    text = json.dumps([_FORMAT, name, metrics])
    return dict(
        format=_FORMAT,
        key=name,
        metrics=metrics,
        sha256=hashlib.sha256(text.encode()).hexdigest())


def _is_score(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isfinite(value))


def _versions() -> Dict[str, str]:
    found = dict(mmw2s=__version__)
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _leaves(dataset: Any) -> Iterator[Any]:
    """The data sets in any wrappers."""
    inner = inner_datasets(dataset)
    if not inner:
        yield dataset
    for one in inner:
        yield from _leaves(one)


def _add_content(digest: Any, dataset: Any) -> None:
    """Add a data set's loaded samples and the states of their files."""
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        digest.update(pickle.dumps(info, protocol=4))
        for path in _paths(info):
            digest.update(_state(path))


def _paths(info: Any) -> Iterator[str]:
    """The texts in a sample's fields that have "path" or "file" in the name.
    """
    if not isinstance(info, dict):
        return
    for key, value in info.items():
        if 'path' in str(key) or 'file' in str(key):
            values = value.values() if isinstance(value, dict) else value
            for path in [value] if isinstance(value, str) else values or ():
                if isinstance(path, str):
                    yield path


def _state(path: str) -> bytes:
    """Path, size and times of a file, which change with its content.

    For a file that is not on this machine it is the path only.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return path.encode(errors='backslashreplace')
    # Unpacking an archive sets st_mtime to an old time, but never st_ctime.
    return repr((path, found.st_size, found.st_mtime_ns,
                 found.st_ctime_ns)).encode(errors='backslashreplace')


def _sources(things: Iterable[Any]) -> Set[str]:
    """The source files of the classes of some objects."""
    kinds = {kind for thing in things for kind in type(thing).__mro__}
    files = set()
    for kind in kinds:
        if kind.__module__.partition('.')[0] in ('builtins', 'torch'):
            continue
        try:
            files.add(inspect.getsourcefile(kind))
        except (OSError, TypeError):
            continue
    return {path for path in files if path and osp.isfile(path)}


def _texts(cfg: Any, root: str = '') -> Iterator[str]:
    """The texts in a nested config, with and without ``data_root``."""
    if isinstance(cfg, (list, tuple)):
        for item in cfg:
            yield from _texts(item, root)
    elif isinstance(cfg, dict):
        root = cfg.get('data_root') or root
        for key, value in cfg.items():
            # Results are written to paths named out...: they are no data.
            if key != 'data_root' and not str(key).startswith('out'):
                yield from _texts(value, root)
    elif isinstance(cfg, str) and cfg:
        yield from dict.fromkeys((osp.join(root, cfg), cfg))


def _named_files(cfg: Any) -> Iterator[str]:
    return (path for path in _texts(cfg) if osp.isfile(path))


def _named_folders(cfg: Any) -> Iterator[str]:
    # A text without a separator, such as "bbox", is hardly meant as a folder.
    return (path for path in _texts(cfg)
            if osp.sep in path and osp.isdir(path))
