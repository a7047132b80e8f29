# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Any, List, Sequence

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from mmw2s.utils.fields import check_integer, check_seed

__all__ = ['SparseParity']


@DATASETS.register_module()
class SparseParity(BaseDataset):
    """Random bits, and the parity of a few of them that is to be found.

    A sample is a gray image of one row: ``dim`` independent pixels of 0 or
    255. Its label is 1 if an odd number of the first ``degree`` pixels is
    255. No smaller set of pixels says anything about the label, so gradients
    that point to the right pixels are weak, and a network learns nothing for
    long: `Hidden Progress in Deep Learning
    <https://arxiv.org/abs/2207.08799>`_.

    Args:
        dim (int): Number of pixels. Defaults to 50.
        degree (int): How many of them decide. Defaults to 4.
        length (int): Number of samples. With as many as a run draws, no
            sample is seen twice. Defaults to 1000.
        seed (int): Seed of the samples. Defaults to 0.
        pipeline (Sequence[dict]): Transforms. Defaults to ``PackInputs`` of
            mmpretrain alone.
        **kwargs: Arguments of MMEngine's ``BaseDataset``.

    Raises:
        ValueError: If a number is out of range.

    Examples:
        >>> dataset = dict(type='SparseParity', dim=100, degree=6)
    """

    METAINFO = dict(classes=('even', 'odd'))

    def __init__(self,
                 dim: int = 50,
                 degree: int = 4,
                 length: int = 1000,
                 seed: int = 0,
                 pipeline: Sequence[dict] = (dict(
                     type='mmpretrain.PackInputs'), ),
                 **kwargs: Any) -> None:
        check_integer('SparseParity.dim', dim, at_least=1)
        check_integer('SparseParity.degree', degree, at_least=1, at_most=dim)
        check_integer('SparseParity.length', length, at_least=1)
        check_seed('SparseParity.seed', seed)
        self.dim, self.degree, self.seed = dim, degree, seed
        self._length = length
        # A list that is serialized would be copied once more.
        super().__init__(
            pipeline=list(pipeline), serialize_data=False, **kwargs)

    def load_data_list(self) -> List[dict]:
        """Images of shape (1, dim), uint8, and their labels."""
        bits = np.random.RandomState(self.seed).randint(
            0, 2, (self._length, self.dim), dtype=np.uint8)
        labels = bits[:, :self.degree].sum(1) % 2
        return [
            dict(img=row[None], gt_label=int(label))
            for row, label in zip(255 * bits, labels)
        ]
