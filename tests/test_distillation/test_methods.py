# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The entries of docs/methods.md on tiny detectors and classifiers."""
import copy
import re
from pathlib import Path

import builders
import pytest
import tiny_classifiers
import torch
from mmengine.registry import MODELS
from tiny_heads import GFL

from mmw2s.distillation.distiller import Distiller
from mmw2s.distillation.schedules import Constant
from mmw2s.distillation.terms import build_terms
from mmw2s.registry import KNOWLEDGE

TABLES = Path(__file__).parents[2] / 'docs' / 'methods.md'
DEEPER = copy.deepcopy(GFL)
DEEPER['bbox_head'].update(stacked_convs=2, loss_bbox=dict(type='GIoULoss'))
STAGE = dict(module='backbone.layer3')


def entries(section):
    """Knowledge and losses of the rows of a section, as configs."""
    text = TABLES.read_text().split(f'## {section}\n')[1].split('\n## ')[0]
    found = []
    for row in re.findall(r'^\| .*`.*$', text, re.M):
        _, knowledge, losses = row.strip('|').split(' | ')[:3]
        kinds, losses = (
            re.findall(r'`([A-Z][^`]*)`', cell)
            for cell in (knowledge, losses))
        found += [(config(kind, KNOWLEDGE), config(loss, MODELS))
                  for kind in kinds for loss in losses]
    return found


def config(text, registry):
    """``Name(positional, field=value)`` as a config."""
    name, _, fields = text.partition('(')
    cls = registry.get(name)
    positional = {'RelationLoss': 'relation'}.get(name, '')
    fields = re.sub(r"^'(\w+)'", rf"{positional}='\1'", fields.rstrip(')'))
    assert cls is not None, text
    return eval(f'dict(type="{name}", {fields})')


SCORES, FEATURES = entries('Scores'), entries('Features')
ON_DETECTORS = ('DenseHeadOutputs', 'EdgeDistributions', 'CrossHeadScores',
                'ScoredFeatures', 'FPNFeatures', 'FocalFeatures')


def losses_of(student, teacher, entry, batch):
    distiller = Distiller(
        student.train(), teacher,
        build_terms([dict(zip(('knowledge', 'loss'), entry))]), Constant(1.))
    distiller.inspects = True
    distiller.bind(10, 5)
    distiller.attach()
    distiller.step(0)
    losses = student(*batch, mode='loss')
    distiller.remove()
    return {k: v for k, v in losses.items() if k.startswith('loss_kd')}


def test_the_tables_have_all_methods():
    assert len(SCORES) == 10 and len(FEATURES) == 13


@pytest.fixture(scope='module')
def detectors(tmp_path_factory):
    folder = tmp_path_factory.mktemp('teacher')
    return builders.build(DEEPER), builders.teacher_of(DEEPER,
                                                       folder / 't.pth')


@pytest.fixture(scope='module')
def classifiers(tmp_path_factory):
    folder = tmp_path_factory.mktemp('teacher')
    cfg = tiny_classifiers.classifier
    return tiny_classifiers.build(cfg(8)), tiny_classifiers.teacher_of(
        cfg(4), folder / 't.pth')


@pytest.mark.parametrize(
    'entry', SCORES + FEATURES, ids=lambda e: '-'.join(c['type'] for c in e))
@pytest.mark.parametrize('half', [False, True])
def test_each_teaches_the_student_in_32_and_in_16_bits(detectors, classifiers,
                                                       entry, half):
    knowledge = dict(entry[0])
    if knowledge['type'] == 'RoIHeadOutputs':
        pytest.skip('tests/test_engine/test_two_stage.py trains it')
    on_detector = knowledge['type'] in ON_DETECTORS
    if knowledge['type'] == 'HiddenFeatures':
        knowledge.update(STAGE)
    student, teacher = detectors if on_detector else classifiers
    batch = (builders if on_detector else tiny_classifiers).batch()
    student.zero_grad()
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=half):
        loss, = losses_of(student, teacher, (knowledge, entry[1]),
                          batch).values()
    assert loss.dtype == torch.float32 and loss.isfinite() and loss > 0
    loss.backward()
    grads = [p.grad for p in student.parameters() if p.grad is not None]
    assert all(grad.isfinite().all() for grad in grads)
    assert sum(grad.abs().sum() for grad in grads) > 0
    assert all(p.grad is None for p in teacher.model.parameters())
