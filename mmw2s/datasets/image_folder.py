# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import logging
import os
from pathlib import Path
from typing import Any, List, Sequence, Union

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from mmengine.registry import DATASETS
from PIL import Image, ImageOps

from mmw2s.utils.fields import check_flag, check_integer

__all__ = ['ImageFolder']

SUFFIXES = ('.png', '.jpg', '.jpeg', '.webp', '.bmp')


@DATASETS.register_module()
class ImageFolder(BaseDataset):
    """Images of a folder, cropped to squares and resized to one size.

    The largest centered square of each image is taken. If all images are in
    sub-folders, the sub-folders are the classes, sorted by name, or in the
    order of ``metainfo['classes']``. Links to folders are followed. A sample
    has ``img`` (uint8, shape (size, size, 3) in RGB order, or (size, size) if
    ``grey``) and, if there are classes, ``gt_label``.

    Args:
        data_root (str): The folder.
        size (int): Height and width of the squares in pixels.
        grey (bool): If True, images have one channel instead of RGB.
            Defaults to False.
        pipeline (Sequence[dict]): Transforms. Defaults to ``PackImage`` alone.
        **kwargs: Arguments of MMEngine's ``BaseDataset``.

    Raises:
        FileNotFoundError: If the folder does not exist or has no image.
        OSError: When a damaged image is read.
        ValueError: If a sub-folder is not in ``metainfo['classes']``, or when
            an image with more than 8 bits a channel is read.

    Examples:
        >>> dataset = dict(type='ImageFolder', data_root='data/cats', size=32)
    """

    def __init__(self,
                 data_root: str,
                 size: int,
                 grey: bool = False,
                 pipeline: Sequence[Union[dict,
                                          Any]] = (dict(type='PackImage'), ),
                 **kwargs: Any) -> None:
        check_integer('ImageFolder.size', size, at_least=1)
        check_flag('ImageFolder.grey', grey)
        self.size, self.grey = size, grey
        super().__init__(
            data_root=data_root, pipeline=list(pipeline), **kwargs)

    def load_data_list(self) -> List[dict]:
        """Paths of the images and, if there are classes, labels."""
        root = Path(self.data_root)
        paths = sorted(
            Path(folder, name)
            for folder, _, names in os.walk(root, followlinks=True)
            for name in names if name.lower().endswith(SUFFIXES))
        if not paths:
            raise FileNotFoundError(
                f'ImageFolder.data_root should be a folder with images '
                f'({", ".join(SUFFIXES)}), but {self.data_root!r} ' +
                ('has none' if root.is_dir() else 'does not exist'))
        loose = [path for path in paths if path.parent == root]
        if loose:
            if len(loose) < len(paths):
                print_log(
                    f'{self.data_root} gives no labels: {len(loose)} of its '
                    f'{len(paths)} images, such as {loose[0].name}, lie in no '
                    'sub-folder. Move them if the sub-folders are classes',
                    logger='current',
                    level=logging.WARNING)
            return [dict(img_path=str(path)) for path in paths]
        names = [path.relative_to(root).parts[0] for path in paths]
        found = sorted(set(names))
        classes = self._metainfo.setdefault('classes', tuple(found))
        unknown = [name for name in found if name not in classes]
        if unknown:
            raise ValueError(
                f'{self.data_root} has the sub-folders {", ".join(unknown)}, '
                'which are not among metainfo[\'classes\'] '
                f'({", ".join(classes)}): name them there, or remove them')
        numbers = {name: number for number, name in enumerate(classes)}
        return [
            dict(img_path=str(path), gt_label=numbers[name])
            for path, name in zip(paths, names)
        ]

    def prepare_data(self, idx: int) -> Any:
        """Read an image, crop and resize it, and apply the pipeline."""
        info = self.get_data_info(idx)
        image = self._read(info['img_path'])
        side = min(image.size)
        left, top = ((length - side) // 2 for length in image.size)
        image = image.crop((left, top, left + side, top + side))
        image = image.resize((self.size, self.size), Image.Resampling.LANCZOS)
        info['img'] = np.array(image)
        return self.pipeline(info)

    def _read(self, path: str) -> Image.Image:
        try:
            with Image.open(path) as image:
                if image.mode.startswith(('I', 'F')):
                    raise ValueError(
                        'ImageFolder needs images of 8 bits a channel, but '
                        f'{path} has the mode {image.mode}, which Pillow '
                        'would clip: convert it first')
                upright = ImageOps.exif_transpose(image)
                return upright.convert('L' if self.grey else 'RGB')
        except (OSError, SyntaxError) as error:
            # Pillow raises SyntaxError for a PNG file that is cut off.
            raise OSError(f'ImageFolder cannot read {path}: {error}. Replace '
                          'it, or remove it') from error
