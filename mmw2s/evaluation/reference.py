# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Statistics of the real images, which generated images are compared with."""
import hashlib
from itertools import chain
from typing import IO, Any, NamedTuple, Tuple

import numpy as np
import torch
from mmengine.dist import (all_gather_object, broadcast_object_list,
                           collect_results, get_dist_info, is_main_process)
from mmengine.logging import print_log
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmw2s.utils.cache import keep, kept_at, read_kept
from mmw2s.utils.text import plural

__all__ = ['Reference', 'check_images', 'moments', 'reference_of']

#: At most this many features are kept for KID, evenly spaced.
MOST_FEATURES = 10000
#: Number of images that a rank reads for the hash at a time.
STRETCH = 64
_WHAT = 'features of real images'


class Reference(NamedTuple):
    """Statistics of the features of real images.

    Attributes:
        mean (np.ndarray): Mean, shape (D, ).
        cov (np.ndarray): Covariance, shape (D, D).
        features (Tensor): Features of some of the images, shape (M, D).
    """
    mean: np.ndarray
    cov: np.ndarray
    features: Tensor


def moments(features: Tensor) -> tuple:
    """Mean (D, ) and covariance (D, D) of features (N, D), in float64."""
    features = features.double().numpy()
    return features.mean(0), np.cov(features, rowvar=False)


@torch.no_grad()
def reference_of(dataset: Dataset, extractor: nn.Module, device: Any,
                 batch_size: int) -> Reference:
    """Statistics of a data set, from the cache or computed on all ranks.

    They are cached in ``$MMW2S_CACHE`` (by default ``~/.cache/mmw2s``) under a
    hash of all pixels and of the extractor.

    Args:
        dataset (Dataset): A data set of ``inputs``, uint8 of shape (C, H, W).
        extractor (nn.Module): A module with a ``fingerprint``.
        device (Any): Device that features are computed on.
        batch_size (int): Number of images in a batch.

    Returns:
        Reference: The statistics, the same on all ranks.

    Raises:
        ValueError: If :func:`check_images` refuses the images.
    """
    check_images(dataset)
    path = _cache_path(dataset, extractor)
    found = [read_kept(path, _WHAT, _read) if is_main_process() else None]
    broadcast_object_list(found)
    if found[0] is not None:
        return found[0]
    print_log(
        f'Features of {plural(len(dataset), "real image")} are computed, '
        'once for this set',
        logger='current')
    extractor = extractor.to(device)
    rank, world_size = get_dist_info()
    own = range(rank, len(dataset), world_size)
    features = []
    for start in track(
            range(0, len(own), batch_size), disable=not is_main_process()):
        images = torch.stack(
            [_pixels(dataset, i) for i in own[start:start + batch_size]])
        # Copies, because pickling a view writes the whole batch.
        features += [
            row.clone() for row in extractor(images.to(device)).float().cpu()
        ]
    # `collect_results` needs as many from each rank. Ranks with one image less
    # repeat their last feature, and `collect_results` drops it again.
    most = -(-len(dataset) // world_size)
    features += features[-1:] * (most - len(own))
    features = [collect_results(features, len(dataset))]
    if is_main_process():
        features = torch.stack(features[0])
        step = -(-len(features) // MOST_FEATURES)
        found = [Reference(*moments(features), features[::step].clone())]
        keep(path, _WHAT, lambda file: _write(file, found[0]), binary=True)
    broadcast_object_list(found)
    return found[0]


def check_images(dataset: Dataset, count: int = 16) -> Tuple[int, ...]:
    """Check the first images of a data set.

    Args:
        dataset (Dataset): A data set of ``inputs``.
        count (int): Number of images that are checked. Defaults to 16.

    Returns:
        tuple[int]: The shape (C, H, W) of an image.

    Raises:
        ValueError: If the images are not uint8 or differ in size, or if an
            image changes from one reading to the next.
    """
    shapes = set()
    for index in range(min(count, len(dataset))):
        pixels = _pixels(dataset, index)
        if not torch.equal(pixels, _pixels(dataset, index)):
            raise ValueError(
                f'image {index} of FID.reference is another each time that it '
                'is read: leave random transforms out of its pipeline')
        shapes.add(tuple(pixels.shape))
    _check_shapes(shapes)
    return shapes.pop()


def _check_shapes(shapes: set) -> None:
    if len(shapes) > 1:
        raise ValueError(
            'FID.reference should give images of one size, but gives ' +
            ' and '.join(map(str, sorted(shapes))) +
            ': bring them to that of the generated images in its pipeline')


def _pixels(dataset: Dataset, index: int) -> Tensor:
    pixels = dataset[index]['inputs']
    if pixels.dtype != torch.uint8:
        raise ValueError('FID.reference should give images of 8 bits, but '
                         f'gives {pixels.dtype}: leave normalization out of '
                         'its pipeline')
    return pixels


def _cache_path(dataset: Dataset, extractor: nn.Module) -> str:
    """The cache file, named by a hash of all images.

    The ranks share the work of reading the images; each rank hashes all.
    """
    digest = hashlib.sha256(extractor.fingerprint.encode())
    rank, world_size = get_dist_info()
    shapes = set()
    for start in range(0, len(dataset), STRETCH * world_size):
        first = start + rank * STRETCH
        # NumPy arrays, because pickling a view of a tensor writes all of it.
        own = [
            _pixels(dataset, index).numpy()
            for index in range(first, min(first + STRETCH, len(dataset)))
        ]
        for pixels in chain(*all_gather_object(own)):
            shapes.add(pixels.shape)
            digest.update(str(pixels.shape).encode())
            digest.update(pixels.tobytes())
    _check_shapes(shapes)
    return kept_at('real_images', digest, 'npz')


def _read(path: str) -> Reference:
    with np.load(path) as found:
        return Reference(found['mean'], found['cov'],
                         torch.from_numpy(found['features']))


def _write(file: IO, reference: Reference) -> None:
    np.savez(
        file,
        mean=reference.mean,
        cov=reference.cov,
        features=reference.features.numpy())
