# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from mmw2s.utils.fields import check_choice, check_integer
from .base import AvgFactor, DistillationLoss, location_weight

_EPS = 1e-6


@MODELS.register_module()
class RelationLoss(DistillationLoss):
    r"""How the feature vectors of an image, or of a batch, relate.

    Let :math:`x_i` be the vectors of one set. The relations are

    - ``'cosine'``: :math:`cos(x_i, x_j)`, as in the manifold loss of `U-REPA
      <https://arxiv.org/abs/2503.18414>`_, compared by the squared error;
    - ``'distance'``: :math:`\|x_i - x_j\|` divided by its mean over
      :math:`i \ne j`;
    - ``'angle'``: the cosine of the angle at :math:`x_j` between
      :math:`x_i` and :math:`x_k`. The last two are those of `RKD
      <https://arxiv.org/abs/1904.05068>`_, compared by smooth L1.

    The loss of a set is the mean over all pairs (i, j), or triples, weighted
    by the product of their weights. The result is the sum over the sets,
    divided by ``avg_factor`` or by the number of sets.

    Channels are not compared one by one, so their numbers may differ
    (``adapter='none'`` of the knowledge).

    Shapes: maps (B, C, H, W). ``weight`` is a mask, or weights of the
    locations, and can be broadcast to (B, 1, H, W).

    Args:
        relation (str): ``'cosine'``, ``'distance'`` or ``'angle'``. Defaults
            to ``'cosine'``.
        among (str): The vectors of a set: ``'locations'``, those of an image;
            or ``'images'``, the mean over the locations of each image of the
            batch, as in RKD. Then the loss depends on how a batch is split
            over devices. Defaults to ``'locations'``.
        most (int): Larger maps are averaged down to so many rows and columns,
            because the number of pairs grows with the fourth power of it, and
            that of triples with the sixth. Defaults to 8.
        loss_weight (float): Factor of the result. U-REPA takes 3; RKD 25 for
            distances and 50 for angles. Defaults to 1.0.

    Raises:
        ValueError: If a field is out of range.

    Examples:
        >>> relation_loss = RelationLoss()
        >>> student = torch.randn(2, 256, 8, 8)
        >>> teacher = torch.randn(2, 64, 8, 8)
        >>> relation_loss(student, teacher)  # a scalar
    """

    compares = 'feature maps'
    compares_channels = False
    leaves_free = 'scale, and a rotation of the channels'

    def __init__(self,
                 relation: str = 'cosine',
                 among: str = 'locations',
                 most: int = 8,
                 loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        check_choice('RelationLoss.relation', relation,
                     ('cosine', 'distance', 'angle'))
        check_choice('RelationLoss.among', among, ('locations', 'images'))
        check_integer('RelationLoss.most', most, at_least=1)
        self.relation, self.among, self.most = relation, among, most

    def compute(self, student: Tensor, teacher: Tensor,
                weight: Optional[Tensor], avg_factor: Optional[AvgFactor],
                temperature: None) -> Tensor:
        if weight is None:
            weight = student.new_ones(())
        weight = location_weight(student, weight)
        # Vectors (S, N, C) of S sets, and their weights (S, N).
        (student, weights), (teacher, _) = (
            self._vectors(maps, weight) for maps in (student, teacher))
        if self.relation == 'cosine':
            loss = (_cosines(student) - _cosines(teacher)).square()
        elif self.relation == 'distance':
            loss = F.smooth_l1_loss(
                _distances(student, weights),
                _distances(teacher, weights),
                reduction='none')
        else:
            loss = F.smooth_l1_loss(
                _angles(student), _angles(teacher), reduction='none')
        share = weights / weights.sum(1, keepdim=True).clamp(min=_EPS)
        for _ in range(loss.dim() - 1):
            loss = torch.einsum('s...n,sn->s...', loss, share)
        return loss.sum() / (len(loss) if avg_factor is None else avg_factor)

    def _vectors(self, maps: Tensor, weight: Tensor) -> Tuple[Tensor, Tensor]:
        most = self.most if self.among == 'locations' else 1
        size = [min(n, most) for n in maps.shape[2:]]
        weights = F.adaptive_avg_pool2d(weight, size)
        maps = F.adaptive_avg_pool2d(maps * weight,
                                     size) / weights.clamp(min=_EPS)
        vectors, weights = maps.flatten(2).mT, weights.flatten(1)
        if self.among == 'images':  # one set, of a vector an image
            vectors, weights = vectors.transpose(0, 1), weights.mT
        return vectors, weights


def _unit(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + _EPS)


def _cosines(x: Tensor) -> Tensor:
    unit = _unit(x)
    return unit @ unit.mT


def _distances(x: Tensor, weights: Tensor) -> Tensor:
    # Exact at a distance of 0, where it has a gradient of 0.
    found = torch.cdist(x, x, compute_mode='donot_use_mm_for_euclid_dist')
    pairs = weights[:, :, None] * weights[:, None]
    pairs = pairs * (1 - torch.eye(x.shape[1], device=x.device, dtype=x.dtype))
    mean = (found * pairs).sum((1, 2), keepdim=True) / pairs.sum(
        (1, 2), keepdim=True).clamp(min=_EPS)
    return found / mean.clamp(min=_EPS)


def _angles(x: Tensor) -> Tensor:
    """The cosine at j between i and k, shape (S, i, j, k)."""
    edges = _unit(x[:, :, None] - x[:, None])
    return torch.einsum('sijc,skjc->sijk', edges, edges)
