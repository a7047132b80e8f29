# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""mmpretrain's CIFAR10 without a download; needs mmpretrain installed.

It is not imported by the package: a config names the module in its
``custom_imports``.
"""
import os.path as osp
from typing import Any, List

from mmengine.registry import DATASETS
from mmpretrain.datasets import CIFAR10

__all__ = ['LocalCIFAR10']


@DATASETS.register_module()
class LocalCIFAR10(CIFAR10):
    """CIFAR-10 as ``tools/dataset_converters/cifar10.py`` leaves it.

    All is mmpretrain's ``CIFAR10``, but the batch files need not have the
    official checksums, which those made of other packages cannot have, and
    nothing is ever downloaded by a training run.

    Args:
        data_root (str): The folder that holds ``cifar-10-batches-py``.
            Defaults to ``'data/cifar10'``.
        **kwargs: Those of ``CIFAR10``.

    Raises:
        FileNotFoundError: If a batch file is missing.
    """

    def __init__(self, data_root: str = 'data/cifar10', **kwargs: Any) -> None:
        super().__init__(data_root=data_root, download=False, **kwargs)

    def load_data_list(self) -> List[dict]:
        """Load all pictures and labels into memory."""
        if not self._check_integrity():
            raise FileNotFoundError(
                f'{self.data_prefix["root"]} should hold {self.base_folder} '
                'with all of its batch files: run "python '
                'tools/dataset_converters/cifar10.py '
                f'{self.data_prefix["root"]}"')
        return super().load_data_list()

    def _check_integrity(self) -> bool:
        folder = osp.join(self.data_prefix['root'], self.base_folder)
        return all(
            osp.isfile(osp.join(folder, name))
            for name, _ in self.train_list + self.test_list)
