# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Features of images without an Inception network, and sets of images."""
import torch
from mmengine.registry import DATASETS, MODELS
from torch.utils.data import Dataset


@MODELS.register_module()
class Corners(torch.nn.Module):
    """The values of a few pixels, of the first channel."""

    def __init__(self, dims=3):
        super().__init__()
        self.dims, self.fingerprint = dims, f'corners {dims}'
        self.images_seen = 0

    def forward(self, images):
        self.images_seen += len(images)
        return images[:, 0].flatten(1)[:, :self.dims].float() / 16


def images(count=40, seed=0, brightness=0):
    """Noise, uint8 of shape (N, 1, 4, 4)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(
        brightness, 200, (count, 1, 4, 4), generator=generator).byte()


@DATASETS.register_module()
class Noise(Dataset):
    """Those images as a data set; `kind` is what is wrong with them."""

    def __init__(self, kind='', **fields):
        self.kind = kind
        self.images = images(**fields)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = self.images[index]
        if self.kind == 'float':
            image = image.float()
        if self.kind == 'random':
            image = torch.randint_like(image, 200)
        if self.kind == 'mixed' and index % 2:
            image = image[:, :3]
        return dict(inputs=image)
