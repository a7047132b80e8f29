# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .base import Knowledge, Pair, Recorded
from .class_logits import ClassLogits
from .denoising import Denoising, DenoisingFeatures
from .dense_head import DenseHeadOutputs
from .feature_maps import FPNFeatures
from .hidden_features import HiddenFeatures
from .roi_head import RoIHeadOutputs
from .rpn import RPNOutputs

__all__ = [
    'Recorded', 'ClassLogits', 'Denoising', 'DenoisingFeatures',
    'DenseHeadOutputs', 'FPNFeatures', 'HiddenFeatures', 'Knowledge', 'Pair',
    'RPNOutputs', 'RoIHeadOutputs'
]
