# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The class names of the labels of a data set.

Usually ``metainfo['classes']`` has them. But some data sets number labels in
another way: mmdet's COCO and LVIS in the order of ``categories`` in the file,
mmpretrain's folders in the order of their sorted names.
"""
import json
import logging
import mmap
import re
from collections import Counter
from itertools import zip_longest
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

import numpy as np
from mmengine.fileio import get_local_path
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from mmw2s.utils.text import listed

__all__ = [
    'Names', 'declared_names', 'inner_datasets', 'label_names', 'names_in'
]

Names = Optional[Tuple[str, ...]]

_CATEGORIES = re.compile(rb'"categories"\s*:\s*(?=\[)')
# Bytes to read at most; thousands of categories need less.
_LONGEST = 1 << 24


def names_in(meta: Any) -> Names:
    """The class names in a metainfo, in order.

    Args:
        meta (Mapping or Sequence[Mapping]): Metainfo of a data set or a
            checkpoint, of this or an older MMEngine. mmdet's ``ConcatDataset``
            has a list if its data sets differ. If the classes are a text, it
            is the only class: users write ``('box')`` for ``('box', )``.

    Returns:
        tuple[str], optional: The names; None if there are none. If the
        metainfos of a list differ, a name has both ("cat or dog"), so that it
        equals neither.
    """
    if isinstance(meta, (list, tuple)):
        return _merge(names_in(one) for one in meta)
    if not isinstance(meta, Mapping):
        return None
    # 'CLASSES' is the key of older versions.
    found = meta.get('classes', meta.get('CLASSES'))
    if isinstance(found, str):
        return (found, )
    if isinstance(found, (list, tuple, np.ndarray)) and len(found):
        return tuple(str(name) for name in found)
    return None


def label_names(dataset: Any) -> Names:
    """The class name of each label of a data set, in order.

    Wrapped data sets are looked at too. Warns if a data set numbers its labels
    in another order than its metainfo says.

    Args:
        dataset (Dataset): Any data set, fully initialized.

    Returns:
        tuple[str], optional: The names; None if they are not known.
    """
    declared = names_in(getattr(dataset, 'metainfo', None))
    parts = inner_datasets(dataset)
    if not parts:
        return _of_one(dataset, declared)
    inner = _merge(names_in(getattr(part, 'metainfo', None)) for part in parts)
    # A user's wrapper may change the labels of the data set in it.
    return declared if declared not in (None, inner) else _merge(
        label_names(part) for part in parts)


def declared_names(dataset: Any) -> Names:
    """The class names of a data set that is not built, as it declares them.

    It has to be called in the scope of its config.

    Args:
        dataset (dict): The config of a data set, or of a wrapper of some.

    Returns:
        tuple[str], optional: Those in its ``metainfo`` or ``classes``, or
        those of its class. None if they are not known.
    """
    if not isinstance(dataset, Mapping):
        return None
    given = dataset.get('classes')
    names = names_in(dataset.get('metainfo')) or names_in(
        dict(classes=given) if isinstance(given, (list, tuple)) else None)
    if names is not None:
        return names
    inner = dataset.get('datasets') or [dataset.get('dataset')]
    if any(isinstance(one, Mapping) for one in inner):
        return _merge(declared_names(one) for one in inner)
    kind = dataset.get('type')
    if isinstance(kind, str):
        with DATASETS.switch_scope_and_registry(None) as registry:
            kind = registry.get(kind)
    return names_in(getattr(kind, 'METAINFO', None))


def inner_datasets(dataset: Any) -> List[Any]:
    """The data sets in a wrapper; empty for a data set that is no wrapper."""
    several = getattr(dataset, 'datasets', None)
    if isinstance(several, (list, tuple)):
        return list(several)
    one = getattr(dataset, 'dataset', None)
    return [one] if hasattr(one, '__getitem__') else []


def _merge(several: Iterable[Names]) -> Names:
    known = [names for names in several if names]
    if not known:
        return None
    return tuple(' or '.join(
        dict.fromkeys(name for name in column if name is not None))
                 for column in zip_longest(*known))


def _of_one(dataset: Any, declared: Names) -> Names:
    used = _by_file(dataset) or _by_folder(dataset, declared)
    if used is None or declared is None:
        return declared or used
    if used == declared[:len(used)] or not _disordered(used, declared):
        return declared
    print_log(
        f'The {type(dataset).__name__} of {_where(dataset)} numbers its '
        f'labels in the order ({listed(used, 5)}), but its metainfo names the '
        f'classes ({listed(declared, 5)}): the labels do not mean what the '
        'metainfo says. Write metainfo=dict(classes=...) in the order of the '
        'labels (of a COCO file, that of its "categories")',
        logger='current',
        level=logging.WARNING)
    return used


def _disordered(used: Tuple[str, ...], declared: Tuple[str, ...]) -> bool:
    """Whether there are labels without a name, or a name that is unique in
    ``declared`` has another position in ``used``."""
    counts = Counter(declared)
    places = {n: i for i, n in enumerate(declared) if counts[n] == 1}
    return len(used) > len(declared) or any(
        places.get(name, i) != i for i, name in enumerate(used))


def _by_file(dataset: Any) -> Names:
    """The order of the categories in a COCO or LVIS file."""
    ids = getattr(dataset, 'cat_ids', None)
    numbers = getattr(dataset, 'cat2label', None)
    path = getattr(dataset, 'ann_file', None)
    if not ids or not isinstance(numbers, Mapping) or not isinstance(
            path, str) or set(ids) != set(numbers):
        return None
    try:
        names = _categories(path, getattr(dataset, 'backend_args', None))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # the data set must have read the file in another way
    if not set(ids) <= set(names):
        return None
    return tuple(str(names[i]) for i in sorted(numbers, key=numbers.get))


def _categories(path: str, backend_args: Optional[dict]) -> Dict[int, str]:
    """Id -> name of the categories in a COCO or LVIS file.

    The file may have gigabytes, so only the list of categories is parsed.
    """
    with get_local_path(path, backend_args=backend_args) as local, \
            open(local, 'rb') as file, \
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        decoder, found = json.JSONDecoder(), []
        for match in _CATEGORIES.finditer(content):
            text = content[match.end():match.end() + _LONGEST]
            try:
                found.append(
                    decoder.raw_decode(text.decode(errors='replace'))[0])
            except ValueError:
                found.clear()
                break
            if len(found) > 1:
                break
        if len(found) != 1:
            # "categories" is also a key elsewhere, or stands in a caption.
            found = [json.loads(content[:])['categories']]
    return {category['id']: category['name'] for category in found[0]}


def _by_folder(dataset: Any, declared: Names) -> Names:
    """The order of mmpretrain's class folders, if they have these names."""
    folders = getattr(dataset, 'folder_to_idx', None)
    if not isinstance(folders, Mapping) or set(folders) != set(declared or ()):
        return None
    return tuple(sorted(folders, key=folders.get))


def _where(dataset: Any) -> str:
    return str(
        getattr(dataset, 'ann_file', None)
        or getattr(dataset, 'data_prefix', None)
        or getattr(dataset, 'data_root', 'its own'))
