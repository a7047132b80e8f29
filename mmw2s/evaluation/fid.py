# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Any, Dict, List, Optional, Sequence

import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce, get_dist_info
from mmengine.evaluator import BaseMetric
from mmengine.registry import DATASETS, METRICS, MODELS
from torch import Tensor

from mmw2s.utils.fields import check_integer
from mmw2s.utils.versions import require
from .distances import frechet_distance, kernel_distance
from .reference import Reference, check_images, moments, reference_of

__all__ = ['FID']

_MEASURES = ('fid', 'kid')


@METRICS.register_module()
class FID(BaseMetric):
    """Distance between generated and real images; lower is better.

    The Frechet distance (`FID <https://arxiv.org/abs/1706.08500>`_) and the
    kernel distance (`KID <https://arxiv.org/abs/1801.01401>`_) of Inception
    features. FID depends on the sampler and on the number of images, so the
    name of the score has both: ``diffusion/fid_10k_ddim50``. KID is unbiased,
    so fewer images are enough.

    The generated images are read from ``generated`` of the data samples. The
    model puts them there if the pipeline of the validation set ends with
    ``PackImage(generate=num_samples)``. Features are computed on all ranks.

    Args:
        num_samples (int): Number of generated images.
        reference (dict): Config of the data set of real images: uint8, in RGB
            order. Its features are computed once and cached.
        measures (Sequence[str]): ``'fid'``, ``'kid'`` or both.
            Defaults to ``('fid', )``.
        extractor (dict): Config of the module that computes features. It has
            the attributes ``dims``, the number of features, and
            ``fingerprint``, a text that identifies it in the cache. Defaults
            to ``dict(type='InceptionFeatures')``.
        batch_size (int): Number of real images in a batch. Defaults to 64.
        collect_device (str): As in MMEngine. Defaults to ``'cpu'``.
        prefix (str, optional): As in MMEngine. Defaults to None, which is
            ``'diffusion'``.

    Raises:
        ValueError: If there are too few images (a covariance needs more
            images than features), or if the real images are not uint8, differ
            in size, or change from one reading to the next.

    Examples:
        >>> val_evaluator = dict(
        >>>     type='FID',
        >>>     num_samples=10000,
        >>>     reference=dict(
        >>>         type='ImageFolder', data_root='data/real', size=32))
    """

    default_prefix = 'diffusion'

    def __init__(self,
                 num_samples: int,
                 reference: dict,
                 measures: Sequence[str] = ('fid', ),
                 extractor: dict = dict(type='InceptionFeatures'),
                 batch_size: int = 64,
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device, prefix)
        if not isinstance(measures, (list, tuple)) or not measures or \
                any(measure not in _MEASURES for measure in measures):
            raise ValueError('FID.measures should name some of '
                             f'{", ".join(_MEASURES)}, but got {measures!r}')
        check_integer('FID.num_samples', num_samples, at_least=1)
        check_integer('FID.batch_size', batch_size, at_least=1)
        require('scipy', 'diffusion', 'FID')
        if 'kid' in measures:
            require('torchmetrics', 'diffusion', 'KID')
        self.num_samples, self.measures = num_samples, tuple(measures)
        self.batch_size = batch_size
        self.extractor = MODELS.build(extractor).eval()
        self._reference_cfg = reference
        self._reference: Optional[Reference] = None
        self._check_count('num_samples', num_samples)
        dataset = DATASETS.build(reference)
        self._check_count('reference', len(dataset))
        self._shape = check_images(dataset)

    def _check_count(self, what: str, count: int) -> None:
        least = self.extractor.dims + 1 if 'fid' in self.measures else 2
        if count < least:
            raise ValueError(
                f'FID.{what} should be {least} images or more, but is '
                f'{count}: ' +
                (f'a covariance of {self.extractor.dims} features needs them. '
                 'With fewer take measures=("kid", )' if least >
                 2 else 'a distance of sets needs them'))

    @torch.no_grad()
    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Compute the features of the images generated in this batch."""
        made = [s for s in data_samples if 'generated' in s]
        features: List[Tensor] = []
        if made:
            images = torch.stack([s['generated'] for s in made])
            if images.shape[1:] != self._shape:
                raise ValueError(
                    'FID.reference should give images of the shape of the '
                    f'generated ones, {tuple(images.shape[1:])}, but gives '
                    f'{self._shape}')
            self._sampler = made[0]['sampler']
            self.extractor.to(images.device)
            with torch.autocast(images.device.type, enabled=False):
                # Copies, because pickling a view writes the whole batch.
                features = [
                    row.clone()
                    for row in self.extractor(images).float().cpu()
                ]
        # One entry for each sample, empty if it has no image: `evaluate`
        # needs the position of a sample to see whether it is a repeated one.
        self.results += [
            features.pop(0) if 'generated' in s else torch.empty(0)
            for s in data_samples
        ]

    def evaluate(self, size: int) -> dict:
        """As in MMEngine; all ranks compute features of the real images.

        Args:
            size (int): Length of the validation set.

        Raises:
            ValueError: If the number of generated images is not
                ``num_samples``.
        """
        rank, world_size = get_dist_info()
        # A distributed sampler repeats samples to give all ranks the same
        # number. Repeated samples do not count.
        made = torch.tensor(
            sum(
                len(row) > 0 for i, row in enumerate(self.results)
                if i * world_size + rank < size))
        all_reduce(made)
        if made != self.num_samples:
            raise ValueError(
                f'FID.num_samples is {self.num_samples}, but the validation '
                f'set gives {made} generated images: ask for them in its '
                f'pipeline, PackImage(generate={self.num_samples}), and check '
                'the length of that set')
        if self._reference is None:
            self._reference = reference_of(
                DATASETS.build(self._reference_cfg), self.extractor,
                get_device(), self.batch_size)
        return super().evaluate(size)

    def compute_metrics(self, results: List[Tensor]) -> Dict[str, float]:
        """The distances between generated and real images.

        Args:
            results (list[Tensor]): Features of each sample, shape (D, ), or
                empty.
        """
        features = torch.stack([r for r in results if len(r)])
        real = self._reference
        count = self.num_samples
        suffix = f'{count // 1000}k' if count % 1000 == 0 else str(count)
        scores = {}
        for measure in self.measures:
            score = frechet_distance(*moments(features), real.mean, real.cov) \
                if measure == 'fid' else kernel_distance(features,
                                                         real.features)
            scores[f'{measure}_{suffix}_{self._sampler}'] = score
        return scores
