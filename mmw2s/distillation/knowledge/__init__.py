# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .base import Captured, Knowledge, Pair
from .dense_head import DenseHeadOutputs
from .feature_maps import FPNFeatures

__all__ = ['Captured', 'DenseHeadOutputs', 'FPNFeatures', 'Knowledge', 'Pair']
