# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What the labels of a data set mean.

``metainfo['classes']`` says so, but some data sets number their labels by what
they find: mmdet's COCO and LVIS by the order of the file's ``categories``,
mmpretrain's folders by their sorted names.
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

from mmw2s.utils.text import listed

__all__ = ['Names', 'inner_datasets', 'label_names', 'names_in']

Names = Optional[Tuple[str, ...]]

_CATEGORIES = re.compile(rb'"categories"\s*:\s*(?=\[)')
# Thousands of categories are shorter than this.
_LONGEST = 1 << 24


def names_in(meta: Any) -> Names:
    """The classes that a metainfo names, in order.

    Args:
        meta (Mapping or Sequence[Mapping]): As a data set or a checkpoint has
            it, of this or an older MMEngine. mmdet's ``ConcatDataset`` has a
            list of them where its data sets differ. A text is one class, for
            ``('box')`` is no tuple.

    Returns:
        tuple[str], optional: None where they are not told. Where several
        differ, the name is of both ("cat or dog"), and so equal to none.
    """
    if isinstance(meta, (list, tuple)):
        return _merge(names_in(one) for one in meta)
    if not isinstance(meta, Mapping):
        return None
    # 'CLASSES' was the key once; beside the new one nothing reads it.
    found = meta.get('classes', meta.get('CLASSES'))
    if isinstance(found, str):
        return (found, )
    if isinstance(found, (list, tuple, np.ndarray)) and len(found):
        return tuple(str(name) for name in found)
    return None


def label_names(dataset: Any) -> Names:
    """The name of each label that a data set gives, in order of the labels.

    Looks into wrappers. A warning says where a data set numbers its labels in
    another order than its metainfo does.

    Args:
        dataset (Dataset): Any data set, fully initialised.

    Returns:
        tuple[str], optional: None where it does not tell.
    """
    declared = names_in(getattr(dataset, 'metainfo', None))
    parts = inner_datasets(dataset)
    if not parts:
        return _of_one(dataset, declared)
    inner = _merge(names_in(getattr(part, 'metainfo', None)) for part in parts)
    # A wrapper of one's own may give other labels than what it wraps.
    return declared if declared not in (None, inner) else _merge(
        label_names(part) for part in parts)


def inner_datasets(dataset: Any) -> List[Any]:
    """What a wrapper wraps; nothing of a data set that is none."""
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
    """Whether there are labels without a name, or a name that both have once
    stands at another place."""
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
        return None  # it has been read in a way of its own
    if not set(ids) <= set(names):
        return None
    return tuple(str(names[i]) for i in sorted(numbers, key=numbers.get))


def _categories(path: str, backend_args: Optional[dict]) -> Dict[int, str]:
    """Names by id. Of a file of gigabytes only the place is looked for."""
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
        if len(found) != 1:  # a key of something else too, or in a caption
            found = [json.loads(content[:])['categories']]
    return {category['id']: category['name'] for category in found[0]}


def _by_folder(dataset: Any, declared: Names) -> Names:
    """The order of mmpretrain's class folders, if they bear these names."""
    folders = getattr(dataset, 'folder_to_idx', None)
    if not isinstance(folders, Mapping) or set(folders) != set(declared or ()):
        return None
    return tuple(sorted(folders, key=folders.get))


def _where(dataset: Any) -> str:
    return str(
        getattr(dataset, 'ann_file', None)
        or getattr(dataset, 'data_prefix', None)
        or getattr(dataset, 'data_root', 'its own'))
