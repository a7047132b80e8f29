# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A small detection data set that needs no download: scenes of real digits."""
import json
import os
import os.path as osp
import shutil
import tempfile
from typing import List, Optional, Sequence, Tuple

import cv2
import numpy as np

from mmw2s.datasets.digits import CLASSES, NUM_TRAIN_SCANS
from mmw2s.utils.fields import check_integer

__all__ = ['write_digit_scenes']

LEAST_HEIGHT, MOST_HEIGHT = 12, 40


def write_digit_scenes(root: str,
                       num_train: int = 1200,
                       num_val: int = 200,
                       size: int = 128,
                       seed: int = 0) -> str:
    """Write scenes of handwritten digits as a data set in COCO's format.

    Each scene shows three to seven of the 1,797 scans of 8x8 pixels that come
    with scikit-learn (``load_digits``). They are enlarged to a height of 12 to
    40 pixels, have random colors of low to medium contrast, and may overlap.
    The background is uneven, with some strokes. Training and validation use
    different scans.

    Writes ``annotations/instances_{train,val}.json`` and ``{train,val}/*.png``
    into ``root``. mmdet's ``CocoDataset`` reads them with
    ``metainfo=dict(classes=('0', ..., '9'))``. The same arguments give the
    same bytes. If the function fails, no folder is left; if the folder exists
    already, nothing is done.

    Args:
        root (str): The folder to write.
        num_train (int): Number of training scenes.
        num_val (int): Number of validation scenes.
        size (int): Height and width of a scene in pixels, at least 40.
        seed (int): Seed of everything that is drawn.

    Returns:
        str: ``root``, as an absolute path.

    Raises:
        FileExistsError: If ``root`` has other content, or scenes of other
            arguments.
        ValueError: If a scene is too small for a digit.
    """
    for name, given in (('num_train', num_train), ('num_val', num_val),
                        ('size', size), ('seed', seed)):
        check_integer(name, given, at_least=0)
    if size < MOST_HEIGHT:
        raise ValueError(
            f'size should be {MOST_HEIGHT} or more, the height of the largest '
            f'digits, but got {size}')
    recipe = dict(
        description='digit scenes of mmw2s, after load_digits of scikit-learn',
        version=1,
        num_train=num_train,
        num_val=num_val,
        size=size,
        seed=seed)
    root = osp.abspath(osp.expanduser(root))
    if _is_written(root, recipe):
        return root

    from sklearn.datasets import load_digits
    scans, labels = load_digits(return_X_y=True)
    scans = (scans.reshape(-1, 8, 8) / 16.).astype(np.float32)
    os.makedirs(osp.dirname(root), exist_ok=True)
    folder = tempfile.mkdtemp(
        prefix=osp.basename(root) + '.', dir=osp.dirname(root))
    try:
        os.chmod(folder, 0o755)  # mkdtemp lets only the owner read it
        os.mkdir(osp.join(folder, 'annotations'))
        blocks = dict(
            train=(num_train, slice(None, NUM_TRAIN_SCANS)),
            val=(num_val, slice(NUM_TRAIN_SCANS, None)))
        for number, (split, (count, block)) in enumerate(blocks.items()):
            _write_split(folder, split, count, size,
                         scans[block], labels[block],
                         np.random.default_rng([seed, number]), recipe)
        try:
            os.rename(folder, root)
        except OSError:
            # Another process may have written the same scenes meanwhile.
            if not _is_written(root, recipe):
                raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return root


def _is_written(root: str, recipe: dict) -> bool:
    """Whether ``root`` has the scenes of ``recipe``."""
    if not osp.isdir(root) or not os.listdir(root):
        return False
    found: Optional[dict] = None
    path = osp.join(root, 'annotations', 'instances_train.json')
    if osp.isfile(path):
        with open(path, encoding='utf-8') as f:
            found = json.load(f).get('info')
    if found != recipe:
        wanted, there = '', 'something else'
        if found and found.get('description') == recipe['description']:
            differ = [k for k in recipe if found.get(k) != recipe[k]]
            wanted = ' with ' + _listed(recipe, differ)
            there = 'some with ' + _listed(found, differ)
        raise FileExistsError(
            f'{root} should hold the digit scenes{wanted}, but it holds '
            f'{there}. Give another folder, or remove this one.')
    return True


def _listed(recipe: dict, keys: Sequence[str]) -> str:
    return ', '.join(f'{key}={recipe.get(key)!r}' for key in keys)


def _write_split(folder: str, split: str, count: int, size: int,
                 scans: np.ndarray, labels: np.ndarray,
                 rng: np.random.Generator, recipe: dict) -> None:
    """Write the images and the annotations of one split."""
    os.mkdir(osp.join(folder, split))
    images: List[dict] = []
    annotations: List[dict] = []
    for image_id in range(1, count + 1):
        scene, boxes, drawn = draw_scene(scans, size, rng)
        name = f'{image_id:06d}.png'
        if not cv2.imwrite(osp.join(folder, split, name), scene):
            raise OSError(f'{osp.join(folder, split, name)} was not written')
        images.append(
            dict(id=image_id, file_name=name, width=size, height=size))
        for (x1, y1, x2, y2), index in zip(boxes.tolist(), drawn):
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=int(labels[index]) + 1,
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                    area=(x2 - x1) * (y2 - y1),
                    iscrowd=0))
    categories = [dict(id=i + 1, name=name) for i, name in enumerate(CLASSES)]
    path = osp.join(folder, 'annotations', f'instances_{split}.json')
    with open(path, 'w', encoding='utf-8') as f:
        json.dump(
            dict(
                info=recipe,
                images=images,
                annotations=annotations,
                categories=categories), f)


def draw_scene(
        scans: np.ndarray, size: int,
        rng: np.random.Generator) -> Tuple[np.ndarray, np.ndarray, List[int]]:
    """Draw one scene.

    Args:
        scans (np.ndarray): Scans to choose from, (N, 8, 8) in [0, 1].
        size (int): Height and width of the scene in pixels.
        rng (np.random.Generator): Source of all random choices.

    Returns:
        tuple: The scene (size, size, 3) in uint8; the boxes (n, 4) of its
        digits as x1, y1, x2, y2 in whole pixels; the n indices of the scans.
        A later digit covers an earlier one where they overlap.
    """
    scene = _ground(size, rng)
    for _ in range(rng.integers(4, 9)):
        _stroke(scene, rng)
    boxes = np.zeros((0, 4), dtype=np.int64)
    drawn: List[int] = []
    for _ in range(rng.integers(3, 8)):
        index = int(rng.integers(len(scans)))
        ink = _enlarge(scans[index],
                       int(rng.integers(LEAST_HEIGHT, MOST_HEIGHT + 1)))
        height, width = ink.shape
        for _ in range(20):  # attempts to find a free place
            x1 = int(rng.integers(0, size - width + 1))
            y1 = int(rng.integers(0, size - height + 1))
            box = np.array([x1, y1, x1 + width, y1 + height])
            if _overlap(box, boxes) <= 0.35:
                break
        else:
            continue
        patch = scene[y1:y1 + height, x1:x1 + width]
        color = _contrasting(patch.mean(axis=(0, 1)), rng)
        patch += ink[..., None] * (color - patch)
        boxes = np.concatenate([boxes, box[None]])
        drawn.append(index)
    scene += rng.normal(0., 8., scene.shape).astype(np.float32)
    return np.clip(scene, 0, 255).astype(np.uint8), boxes, drawn


def _ground(size: int, rng: np.random.Generator) -> np.ndarray:
    """An uneven background (size, size, 3): 16 random colors, blended."""
    colors = rng.uniform(40, 215, 3) + rng.uniform(-35, 35, (4, 4, 3))
    return cv2.resize(
        colors.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)


def _stroke(scene: np.ndarray, rng: np.random.Generator) -> None:
    """Draw a line or an arc, which is no digit, into ``scene``."""
    size = len(scene)
    color = tuple(rng.uniform(0, 255, 3).tolist())
    thickness = int(rng.integers(1, 4))
    start, end = rng.integers(0, size, (2, 2)).tolist()
    if rng.random() < 0.5:
        cv2.line(scene, start, end, color, thickness, cv2.LINE_AA)
    else:
        axes = rng.integers(5, size // 4, 2).tolist()
        first, turn = rng.integers(0, 360), rng.integers(40, 160)
        cv2.ellipse(scene, start, axes, float(rng.integers(0, 180)),
                    float(first), float(first + turn), color, thickness,
                    cv2.LINE_AA)


def _enlarge(scan: np.ndarray, height: int) -> np.ndarray:
    """Crop a scan to its ink and resize it to ``height``, values in [0, 1]."""
    big = cv2.resize(scan, (64, 64), interpolation=cv2.INTER_CUBIC)
    big = np.clip(1.2 * big, 0, 1)
    ys, xs = np.nonzero(big > 0.4)
    big = big[ys.min():ys.max() + 1, xs.min():xs.max() + 1]
    width = max(4, round(height * big.shape[1] / big.shape[0]))
    width = min(width, 2 * height)
    return cv2.resize(big, (width, height), interpolation=cv2.INTER_AREA)


def _contrasting(ground: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A color 30 to 110 gray levels lighter or darker than the background."""
    shift = rng.uniform(30, 110)
    mean = ground.mean()
    up = rng.random() < 0.5
    if mean + shift > 250:
        up = False
    elif mean - shift < 5:
        up = True
    color = ground + (shift if up else -shift) + rng.uniform(-25, 25, 3)
    return np.clip(color, 0, 255).astype(np.float32)


def _overlap(box: np.ndarray, boxes: np.ndarray) -> float:
    """Largest overlap of a box with others, over the smaller box's area."""
    if not len(boxes):
        return 0.
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(
        box[:2], boxes[:, :2])
    both = np.clip(sides, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return float((both / np.minimum(areas, (box[2:] - box[:2]).prod())).max())
