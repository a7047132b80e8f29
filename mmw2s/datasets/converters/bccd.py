# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Blood cells: a small detection set of real images."""
import json
import os
import os.path as osp
import shutil
import tempfile
from typing import List
from xml.etree import ElementTree

__all__ = ['write_bccd']

CLASSES = ('WBC', 'RBC', 'Platelets')
SPLITS = ('train', 'val', 'test')


def write_bccd(source: str, root: str) -> str:
    """Convert BCCD from the format of Pascal VOC to that of COCO.

    Writes ``annotations/instances_{split}.json`` and ``{split}/*.jpg`` into
    ``root``. The splits are those of the data set: ``train``, ``val`` and
    ``test`` with 205, 87 and 72 images. If the conversion fails, no folder is
    left.

    Args:
        source (str): A checkout of `BCCD_Dataset
            <https://github.com/Shenggan/BCCD_Dataset>`_.
        root (str): The folder to write; it must not exist.

    Returns:
        str: ``root``, as an absolute path.

    Raises:
        FileExistsError: If ``root`` exists.
        FileNotFoundError: If ``source`` lacks a file of the data set.
        ValueError: If an annotation has an unknown class or an empty box.
    """
    source, root = (
        osp.abspath(osp.expanduser(folder)) for folder in (source, root))
    if osp.exists(root):
        raise FileExistsError(f'{root} is there already: remove it, or name '
                              'another folder')
    voc = osp.join(source, 'BCCD')
    if not osp.isdir(voc):
        raise FileNotFoundError(
            f'{source} should be a checkout of BCCD_Dataset with the folder '
            'BCCD, but has none')
    os.makedirs(osp.dirname(root), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=osp.dirname(root)) as folder:
        whole = osp.join(folder, 'bccd')
        os.makedirs(osp.join(whole, 'annotations'))
        for split in SPLITS:
            _write_split(voc, whole, split)
        os.rename(whole, root)
    return root


def _write_split(voc: str, root: str, split: str) -> None:
    with open(osp.join(voc, 'ImageSets', 'Main', f'{split}.txt')) as file:
        names = file.read().split()
    os.makedirs(osp.join(root, split))
    images: List[dict] = []
    annotations: List[dict] = []
    for image_id, name in enumerate(names, 1):
        shutil.copyfile(
            osp.join(voc, 'JPEGImages', f'{name}.jpg'),
            osp.join(root, split, f'{name}.jpg'))
        path = osp.join(voc, 'Annotations', f'{name}.xml')
        described = ElementTree.parse(path).getroot()
        images.append(
            dict(
                id=image_id,
                file_name=f'{name}.jpg',
                width=int(described.findtext('size/width')),
                height=int(described.findtext('size/height'))))
        for cell in described.iter('object'):
            x, y, width, height = box = _box(cell, path)
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=_category(cell, path),
                    bbox=box,
                    area=width * height,
                    iscrowd=0))
    content = dict(
        info=dict(description='BCCD blood cells (Shenggan/BCCD_Dataset, MIT)'),
        licenses=[],
        images=images,
        annotations=annotations,
        categories=[
            dict(id=i, name=name, supercategory=name)
            for i, name in enumerate(CLASSES, 1)
        ])
    path = osp.join(root, 'annotations', f'instances_{split}.json')
    with open(path, 'w') as file:
        json.dump(content, file)


def _category(cell: ElementTree.Element, path: str) -> int:
    name = cell.findtext('name')
    if name not in CLASSES:
        raise ValueError(f'{path}: the class should be one of '
                         f'{", ".join(CLASSES)}, but is {name!r}')
    return CLASSES.index(name) + 1


def _box(cell: ElementTree.Element, path: str) -> List[float]:
    """Box as x, y, width and height in pixels.

    VOC counts pixels from 1, and xmax and ymax are still in the box.
    """
    x1, y1, x2, y2 = (
        float(cell.findtext(f'bndbox/{side}'))
        for side in ('xmin', 'ymin', 'xmax', 'ymax'))
    box = [x1 - 1, y1 - 1, x2 - x1 + 1, y2 - y1 + 1]
    if min(box[2:]) <= 0:
        raise ValueError(f'{path}: a box from {x1:g}, {y1:g} to {x2:g}, '
                         f'{y2:g} is empty')
    return box
