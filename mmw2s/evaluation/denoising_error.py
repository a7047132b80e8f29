# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Any, Dict, List, Sequence

import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

__all__ = ['DenoisingError']


# 'DenoisingLoss' is the name of 0.1.0.
@METRICS.register_module(name=['DenoisingError', 'DenoisingLoss'])
class DenoisingError(BaseMetric):
    """Mean squared error of the predicted noise; lower is better.

    The mean is taken over the validation images. Each has one timestep and one
    noise, which depend on nothing but the image's index. So every validation
    of every model and run uses the same ones. An image costs one forward of
    the denoiser. The score is named ``diffusion/denoising_mse``.

    Predictions of another type than ``'epsilon'`` are converted to the noise
    first. So compare only models of the same ``prediction_type``: from the
    image to the noise the error grows by a / s (see
    :mod:`mmw2s.models.diffusion.prediction_type`), which has no bound where
    there is little noise. In a model that predicts the image, the first
    hundredth of the timesteps makes most of the score.

    Args:
        collect_device (str): As in MMEngine. Defaults to ``'cpu'``.
        prefix (str, optional): As in MMEngine. Defaults to None, which is
            ``'diffusion'``.

    Raises:
        ValueError: From :meth:`process`, if the model has not put its errors
            into the data samples.

    Examples:
        >>> val_evaluator = dict(type='DenoisingError')
    """

    default_prefix = 'diffusion'

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Collect the errors that the model has put into its data samples."""
        if any('denoising_error' not in sample for sample in data_samples):
            raise ValueError(
                'DenoisingError needs data samples with a denoising_error, as '
                'DenoisingDiffusion gives them in predict mode')
        errors = torch.stack([s['denoising_error'] for s in data_samples])
        self.results += errors.tolist()

    def compute_metrics(self, results: List[float]) -> Dict[str, float]:
        """Average over the images.

        Args:
            results (list[float]): Mean squared error of each image.
        """
        return dict(denoising_mse=sum(results) / len(results))
