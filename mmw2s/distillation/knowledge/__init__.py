# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .base import Knowledge, Pair, Recorded
from .class_logits import ClassLogits
from .class_maps import ClassMaps
from .cross_head import CrossHeadScores
from .denoising import Denoising, DenoisingFeatures
from .dense_head import DenseHeadOutputs
from .edge_distributions import EdgeDistributions
from .feature_maps import FPNFeatures
from .focal_features import FocalFeatures
from .hidden_features import HiddenFeatures
from .pixel_scores import PixelScores
from .roi_head import RoIHeadOutputs
from .rpn import RPNOutputs
from .scored_features import ScoredFeatures

__all__ = [
    'Recorded', 'ClassLogits', 'ClassMaps', 'CrossHeadScores', 'Denoising',
    'DenoisingFeatures', 'DenseHeadOutputs', 'EdgeDistributions',
    'FPNFeatures', 'FocalFeatures', 'HiddenFeatures', 'Knowledge', 'Pair',
    'PixelScores', 'RPNOutputs', 'RoIHeadOutputs', 'ScoredFeatures'
]
