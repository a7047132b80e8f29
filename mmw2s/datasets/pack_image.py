# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Optional, Union

import numpy as np
import torch
from mmengine.registry import TRANSFORMS
from mmengine.structures import BaseDataElement

from mmw2s.utils.fields import check_integer, check_seed

__all__ = ['PackImage']


@TRANSFORMS.register_module()
class PackImage:
    """Pack an image and its label for a diffusion model.

    Required keys: ``img`` (uint8, shape (H, W) or (H, W, C)), ``sample_idx``
    and, optionally, ``gt_label``. Result: ``inputs`` (uint8 tensor, shape
    (C, H, W)) and ``data_samples``, a ``BaseDataElement``.

    In evaluation the model can generate images, which :class:`FID` needs. It
    generates one for each data sample that has a ``sample_seed``.

    Args:
        generate (int or bool): The first ``generate`` samples of the data set
            get a ``sample_seed``. True means all. Defaults to False, none.
        seed (int): ``sample_seed`` of the first sample; it increases by 1 from
            sample to sample. Defaults to 0.

    Raises:
        ValueError: If ``generate`` or ``seed`` is negative or no integer; from
            a call, if the image is not uint8 or has another shape.

    Examples:
        >>> pipeline = [dict(type='PackImage', generate=1000)]
    """

    def __init__(self,
                 generate: Union[int, bool] = False,
                 seed: int = 0) -> None:
        if not isinstance(generate, bool):
            check_integer(
                'PackImage.generate, unless True or False,',
                generate,
                at_least=0)
        check_seed('PackImage.seed', seed)
        self.generate, self.seed = generate, seed

    def __call__(self, results: dict) -> Optional[dict]:
        image = results['img']
        if image.dtype != np.uint8 or image.ndim not in (2, 3):
            raise ValueError(
                'PackImage needs images of 8 bits, shape (H, W) or (H, W, C), '
                f'but got {image.dtype} of shape {image.shape}')
        image = image[..., None] if image.ndim == 2 else image
        number = results['sample_idx']
        sample = BaseDataElement(metainfo=dict(sample_idx=number))
        if self.generate is True or number < self.generate:
            sample.set_metainfo(dict(sample_seed=self.seed + number))
        if 'gt_label' in results:
            sample.gt_label = torch.as_tensor(results['gt_label']).view(1)
        inputs = np.ascontiguousarray(image.transpose(2, 0, 1))
        return dict(inputs=torch.from_numpy(inputs), data_samples=sample)
