# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Runs whose batches, or whose teachers' forwards, are unlike the others'."""
import json
import os.path as osp

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmpretrain.models import ClsDataPreprocessor
from runs import train_watched
from tiny_classifiers import NORM, run_config
from torch import nn

from mmw2s.records.files import EVENTS

FORMS = {
    'of branches': lambda batch: dict(batch, inputs=dict(sup=batch['inputs'])),
    'of several views':
    lambda batch: dict(batch, inputs=[batch['inputs']] * 2)
}


class Together(ClsDataPreprocessor):
    """As after a fast collate function: labels of all images in one dict."""

    def __init__(self, form='dict', **kwargs):
        super().__init__(**kwargs)
        self.form = form

    def forward(self, data, training=False):
        batch = super().forward(data, training)
        if not training or self.form == 'list':
            return batch
        samples = batch['data_samples']
        labels = torch.cat([sample.gt_label for sample in samples])
        batch['data_samples'] = dict(gt_label=labels) \
            if self.form == 'dict' else \
            [dict(gt_label=sample.gt_label) for sample in samples]
        return FORMS.get(self.form, lambda batch: batch)(batch)


class Shade(BaseModel):
    """A classifier of a user's own."""

    def __init__(self, calls=1, form='list'):
        super().__init__(Together(form, **NORM))
        self.body = nn.Conv2d(3, 4, 1)
        self.head = nn.Linear(4, 3)
        self.calls = calls

    def look(self, images):
        for _ in range(self.calls):
            maps = self.body(images)
        return self.head(maps.mean((2, 3)))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if isinstance(inputs, dict):
            inputs = inputs['sup']
        if isinstance(inputs, list):
            inputs = inputs[0]
        logits = self.look(inputs)
        if mode == 'loss':
            if isinstance(data_samples, dict):
                labels = data_samples['gt_label']
            else:
                labels = torch.cat([
                    sample['gt_label']
                    if isinstance(sample, dict) else sample.gt_label
                    for sample in data_samples
                ])
            return dict(loss=nn.functional.cross_entropy(logits, labels))
        for sample, score in zip(data_samples or (), logits.softmax(1)):
            sample.set_pred_score(score).set_pred_label(score.argmax())
        return data_samples


class Retriever(Shade):
    """Looks at images of its own before the first that it is asked about."""

    known = None

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if self.known is None:
            self.known = self.look(torch.ones(3, 3, 16, 16))
        return super().forward(inputs, data_samples, mode)


class SlidingWindow(Shade):

    def look(self, images):
        return super().look(images[..., :8]) + super().look(images[..., 8:])


@pytest.fixture(autouse=True)
def models():
    kinds = (Shade, Retriever, SlidingWindow)
    for kind in kinds:
        MODELS.register_module(module=kind)
    yield
    for kind in kinds:
        MODELS.module_dict.pop(kind.__name__)


def teacher(kind='Shade', **fields):
    return dict(config=dict(model=dict(type=kind, **fields)), checkpoint=None)


def run(folder, weak, form='list', calls=1, module='body', **fields):
    cfg = run_config(
        folder,
        epochs=1,
        model=dict(type='Shade', form=form, calls=calls),
        hooks=[
            dict(
                type='WeakTeacherDistillHook',
                teacher=weak,
                distill=[
                    dict(
                        knowledge=dict(type='HiddenFeatures', module=module),
                        loss=dict(type='MSEKDLoss')),
                    dict(
                        knowledge=dict(type='ClassLogits'),
                        loss=dict(type='DKDLoss'))
                ],
                schedule=dict(type='Constant', value=1.),
                **fields)
        ])
    return train_watched(cfg)[1]


def seconds_of_scoring(folder):
    with open(osp.join(folder, EVENTS)) as file:
        return json.loads(file.readline())['seconds']


@pytest.mark.slow
def test_data_samples_of_any_form_train_as_a_list_of_them_does(tmp_path):
    stop = dict(type='At', iter=100)
    told = [[
        row['loss_kd_logits']
        for row in run(tmp_path / form, teacher(), form, stop=stop)
    ] for form in ('list', 'dict', 'dicts')]
    assert told[0] == told[1] == told[2] and len(told[0]) == 4


@pytest.mark.parametrize(
    'form, given',
    [('of branches', 'a dict of sup'),
     ('of several views', r'a list of tensors of \(4, 3, 16, 16\)')])
def test_a_batch_that_a_teacher_cannot_be_shown_is_told(tmp_path, form, given):
    with pytest.raises(ValueError, match=f'one batch of images.*{given}'):
        run(tmp_path, teacher(), form, stop=dict(type='At', iter=100))


def test_what_a_teacher_does_once_is_over_whether_it_was_scored_or_not(
        tmp_path):
    stop = dict(type='SurpassTeacher', metric='accuracy/top1')
    # In the second run its score comes from the cache.
    losses = [
        run(tmp_path / str(i), teacher('Retriever'), stop=stop)
        for i in range(2)
    ]
    seconds = [seconds_of_scoring(tmp_path / str(i)) for i in range(2)]
    assert seconds[0] > 0 == seconds[1]
    assert losses[0] == losses[1] and 'loss_kd_hidden' in losses[0][0]


@pytest.mark.parametrize('weak, message', [
    (teacher('SlidingWindow'), 'calls body 2 times .* its own 1 times'),
    (teacher(calls=3), 'calls body 3 times'),
])
def test_a_teacher_whose_maps_are_of_something_else_is_refused(
        tmp_path, weak, message):
    with pytest.raises(ValueError, match=message):
        run(tmp_path, weak, stop=dict(type='At', iter=100))


def test_as_many_calls_in_both_are_paired_call_by_call(tmp_path):
    losses = run(
        tmp_path, teacher(calls=2), calls=2, stop=dict(type='At', iter=100))
    assert len(losses) == 4
