# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Any, List, Sequence

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from mmw2s.utils.fields import check_choice

__all__ = ['Digits']

CLASSES = tuple(str(digit) for digit in range(10))
# The scans are sorted by writer, so the writers of the last ones are others.
NUM_TRAIN_SCANS = 1437


@DATASETS.register_module()
class Digits(BaseDataset):
    """The 1,797 scans of handwritten digits that come with scikit-learn.

    Gray images of 8 x 8 pixels: 1,437 for training, and 360 by other writers
    for validation. A sample has ``img`` (uint8, shape (8, 8)) and
    ``gt_label``.

    Args:
        split (str): ``'train'`` or ``'val'``. Defaults to ``'train'``.
        pipeline (Sequence[dict]): Transforms. Defaults to ``PackImage`` alone.
        **kwargs: Arguments of MMEngine's ``BaseDataset``.

    Raises:
        ValueError: If ``split`` is unknown.

    Examples:
        >>> dataset = dict(type='Digits', split='val')
    """

    METAINFO = dict(classes=CLASSES)

    def __init__(self,
                 split: str = 'train',
                 pipeline: Sequence[dict] = (dict(type='PackImage'), ),
                 **kwargs: Any) -> None:
        check_choice('Digits.split', split, ('train', 'val'))
        self.split = split
        super().__init__(pipeline=list(pipeline), **kwargs)

    def load_data_list(self) -> List[dict]:
        """Scans of the split, with values from 0 to 255, and their labels."""
        from sklearn.datasets import load_digits
        scans, labels = load_digits(return_X_y=True)
        scans = (scans.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
        block = slice(None, NUM_TRAIN_SCANS) if self.split == 'train' else \
            slice(NUM_TRAIN_SCANS, None)
        return [
            dict(img=scan, gt_label=int(label))
            for scan, label in zip(scans[block], labels[block])
        ]
