# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os
from pathlib import Path
from typing import Any, List, Sequence, Union

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from PIL import Image

__all__ = ['ImageFolder']

SUFFIXES = ('.png', '.jpg', '.jpeg', '.webp', '.bmp')


@DATASETS.register_module()
class ImageFolder(BaseDataset):
    """Images of a folder, cut to squares of one size.

    The middle of each image is taken and resized. Where all images lie in
    sub-folders, these are the classes, in the order of their names. Links to
    folders are followed.

    Args:
        data_root (str): The folder.
        size (int): Height and width of the squares in pixels.
        grey (bool): Give one channel instead of red, green and blue.
            Defaults to False.
        pipeline (Sequence[dict]): Defaults to ``PackImage`` alone.
        **kwargs: Those of MMEngine's ``BaseDataset``.

    Raises:
        FileNotFoundError: If there is no such folder, or no image in it.
        ValueError: When an image is read that has more than 8 bits a channel.
    """

    def __init__(self,
                 data_root: str,
                 size: int,
                 grey: bool = False,
                 pipeline: Sequence[Union[dict,
                                          Any]] = (dict(type='PackImage'), ),
                 **kwargs: Any) -> None:
        self.size, self.grey = size, grey
        super().__init__(
            data_root=data_root, pipeline=list(pipeline), **kwargs)

    def load_data_list(self) -> List[dict]:
        """Paths, with labels where there are classes."""
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
        names = [path.relative_to(root).parts[0] for path in paths]
        if any(path.parent == root for path in paths):
            return [dict(img_path=str(path)) for path in paths]
        classes = tuple(sorted(set(names)))
        self._metainfo.setdefault('classes', classes)
        return [
            dict(img_path=str(path), gt_label=classes.index(name))
            for path, name in zip(paths, names)
        ]

    def prepare_data(self, idx: int) -> Any:
        """Read an image and put it through the pipeline."""
        info = self.get_data_info(idx)
        with Image.open(info['img_path']) as image:
            if image.mode.startswith(('I', 'F')):
                raise ValueError(
                    'ImageFolder needs images of 8 bits a channel, but '
                    f'{info["img_path"]} has the mode {image.mode}, which '
                    'Pillow would clip: convert it first')
            image = image.convert('L' if self.grey else 'RGB')
        side = min(image.size)
        left, top = ((length - side) // 2 for length in image.size)
        image = image.crop((left, top, left + side, top + side))
        image = image.resize((self.size, self.size), Image.Resampling.LANCZOS)
        info['img'] = np.array(image)
        return self.pipeline(info)
