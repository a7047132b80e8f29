# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""mmpretrain's CIFAR10 without a download.

The module needs mmpretrain, so mmw2s does not import it. A config names it in
its ``custom_imports``.
"""
import os.path as osp
from typing import Any, List

from mmengine.registry import DATASETS
from mmpretrain.datasets import CIFAR10

__all__ = ['LocalCIFAR10']


@DATASETS.register_module()
class LocalCIFAR10(CIFAR10):
    """CIFAR-10 as ``tools/dataset_converters/cifar10.py`` writes it.

    Differs from mmpretrain's ``CIFAR10`` in two ways: batch files may have
    other checksums than the official ones (see
    :func:`~mmw2s.datasets.write_cifar10`), and nothing is downloaded.

    Args:
        data_root (str): The folder with ``cifar-10-batches-py``.
            Defaults to ``'data/cifar10'``.
        **kwargs: Arguments of ``CIFAR10``.

    Raises:
        FileNotFoundError: If a batch file is missing.

    Examples:
        >>> custom_imports = dict(imports=['mmw2s.datasets.local_cifar10'])
        >>> dataset = dict(type='LocalCIFAR10', split='train', pipeline=[])
    """

    def __init__(self, data_root: str = 'data/cifar10', **kwargs: Any) -> None:
        super().__init__(data_root=data_root, download=False, **kwargs)

    def load_data_list(self) -> List[dict]:
        """Load all images and labels into memory."""
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
