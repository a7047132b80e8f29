# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Any, Dict, List, Sequence

import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

__all__ = ['DenoisingLoss']


@METRICS.register_module()
class DenoisingLoss(BaseMetric):
    """How well a diffusion model tells noise from image; less is better.

    The mean squared error of the noise over the validation images, each at
    one timestep and with one noise that follow from its number: the same in
    each validation, for each model, and in each run. It costs a forward of
    the denoiser an image, and gives ``diffusion/denoising_mse``.

    Models that predict the image or v are converted to the noise. Compare
    models of the same ``prediction_type`` by it: an error of the image becomes
    one of the noise a / s times as large, which is without bound where there
    is little noise, so that of a model that predicts the image the first
    hundredth of the timesteps gives most of the score. (It is no "loss" by
    name, for MMEngine logs such as averages over validations.)

    Args:
        collect_device (str): As in MMEngine. Defaults to ``'cpu'``.
        prefix (str, optional): As in MMEngine. Defaults to None, which is
            ``'diffusion'``.
    """

    default_prefix = 'diffusion'

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Take the errors that the model has noted in its data samples."""
        if any('denoising_error' not in sample for sample in data_samples):
            raise ValueError(
                'DenoisingLoss needs data samples with a denoising_error, as '
                'DenoisingDiffusion gives them in predict mode')
        errors = torch.stack([s['denoising_error'] for s in data_samples])
        self.results += errors.tolist()

    def compute_metrics(self, results: List[float]) -> Dict[str, float]:
        """Average over the images."""
        return dict(denoising_mse=sum(results) / len(results))
