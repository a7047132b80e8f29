# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Entries of a hook's ``distill`` field, for tests."""
import torch
from mmengine.registry import MODELS

FPN = dict(
    knowledge=dict(type='FPNFeatures'),
    loss=dict(type='PKDLoss', loss_weight=10.))
FGD = dict(knowledge=dict(type='FocalFeatures'), loss=dict(type='FGDLoss'))
CLS = dict(
    knowledge=dict(type='DenseHeadOutputs'),
    loss=dict(type='QualityFocalKDLoss'))
BOX = dict(
    knowledge=dict(type='DenseHeadOutputs', output='boxes'),
    loss=dict(type='BoxKDLoss'))


@MODELS.register_module()
class TemperatureSpy(torch.nn.Module):
    """Tells the temperature that it is called with."""

    def __init__(self, offset=0., **kwargs):
        super().__init__()
        assert not kwargs
        self.offset = offset

    def forward(self,
                student,
                teacher,
                weight=None,
                avg_factor=None,
                temperature=None):
        return student.sum() * 0 + self.offset + (temperature or 0.)


SPY = dict(
    knowledge=dict(type='FPNFeatures', levels=[0]),
    loss=dict(type='TemperatureSpy'))


def entry(base, **fields):
    """An entry with other fields; those of its loss go by `loss_`."""
    loss = {
        k[len('loss_'):]: v
        for k, v in fields.items() if k.startswith('loss_')
    }
    rest = {k: v for k, v in fields.items() if not k.startswith('loss_')}
    return dict(base, loss=dict(base['loss'], **loss), **rest)
