# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
from mmpretrain.models import BaseClassifier
from torch import nn

from mmw2s.distillation.knowledge.feature_modules import (feature_knowledge,
                                                          feature_module)


def model(*names, kind=nn.Module):
    """With modules of dotted names."""
    made = kind() if kind is nn.Module else nn.Module.__new__(kind)
    nn.Module.__init__(made)
    for name in names:
        *parents, last = name.split('.')
        place = made
        for parent in parents:
            if not hasattr(place, parent):
                place.add_module(parent, nn.Module())
            place = getattr(place, parent)
        place.add_module(last, nn.Linear(1, 1))
    return made


class Classifier(BaseClassifier):

    def extract_feat(self, inputs):
        return inputs

    def loss(self, inputs, data_samples):
        return {}

    forward = predict = loss


@pytest.mark.parametrize('names, found', [
    (['backbone', 'neck'], 'neck'),
    (['backbone'], 'backbone'),
    (['image_encoder'], 'image_encoder'),
    (['student.neck', 'model.deep.neck', 'backbone'], 'student.neck'),
    (['a.b.backbone', 'teacher.backbone'], 'teacher.backbone'),
    (['bottleneck', 'stem'], None),
])
def test_the_outermost_of_the_known_names(names, found):
    assert feature_module(model(*names)) == found


def test_a_neck_that_does_nothing_is_passed_over():
    given = model('backbone')
    given.neck = nn.Identity()
    assert feature_module(given) == 'backbone'


def test_a_classifiers_neck_pools_its_maps_away():
    assert feature_module(model('neck', 'backbone', kind=Classifier)) == \
        'backbone'


@pytest.mark.parametrize('student, teacher, said', [
    ('neck', 'neck', 'knowledge FPNFeatures'),
    ('backbone', 'backbone', 'knowledge FPNFeatures, module="backbone"'),
    ('neck', 'backbone', 'knowledge FPNFeatures, module="neck", '
     'teacher_module="backbone"'),
    ('neck', 'stem', 'knowledge FPNFeatures, of modules that give maps'),
])
def test_the_knowledge_that_is_proposed(student, teacher, said):
    assert feature_knowledge(model(student), model(teacher)) == said
