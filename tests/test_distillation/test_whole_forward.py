# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Teachers whose maps are not, or not at once, those of the batch."""
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import nn

from mmw2s.distillation.recorder import Recorder
from mmw2s.distillation.whole_forward import WholeForward


class Model(BaseModel):
    """A body on the whole image, then what comes after it."""

    def __init__(self, calls=1):
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)
        self.calls = calls

    def look(self, images):
        for _ in range(self.calls):
            maps = self.body(images)
        return self.head(maps)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.look(inputs)


class SlidingWindow(Model):

    def forward(self, inputs, data_samples=None, mode='tensor'):
        half = inputs.shape[-1] // 2
        return [self.look(x) for x in (inputs[..., :half], inputs[..., half:])]


class OneWindow(Model):

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.look(inputs[..., 2:])


class Flipping(Model):

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.look(inputs) + self.look(inputs.flip(-1))


class Resizing(Model):

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.look(F.interpolate(inputs, scale_factor=2.))


class Normalizing(Model):

    @torch.no_grad()
    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.look((inputs - 3) / 4)


class Standardizing(Model):

    def forward(self, inputs, data_samples=None, mode='tensor'):
        std, mean = torch.std_mean(inputs, (1, 2, 3), keepdim=True)
        return self.look((inputs - mean) / std)


class Squaring(Model):
    """Changes each pixel, by what is no scale and no shift."""

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.look((inputs - inputs.amin((1, 2, 3), keepdim=True))**2)


class Mirroring(Model):

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.look(inputs.flip(-1))


class Reordering(Model):

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.look(inputs.flip(0))


class Tiling(Model):

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.look(inputs[..., :4, :4].repeat(1, 1, 2, 2))


class Prototypes(Model):
    """Looks at images of its own: once, or in every forward."""

    def __init__(self, once, own_size=2):
        super().__init__()
        self.once, self.known, self.own_size = once, None, own_size

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if self.known is None or not self.once:
            self.known = self.look(torch.ones(self.own_size, 3, 8, 8))
        return self.look(inputs).mean() - self.known.mean()


class OnlyPrototypes(Model):

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.look(torch.ones_like(inputs))


class Failing(Model):
    """Predicts from what training samples do not have."""

    def forward(self, inputs, data_samples=None, mode='tensor'):
        self.look(inputs)
        data_samples[0]['predicted'] = True
        raise KeyError('scale_factor')


def check(model, samples=None, **until):
    until = until or dict(body=1)
    recorder = Recorder(model, until, 'teacher')
    with torch.no_grad():
        found = WholeForward(model, 'weak', recorder).calls(
            lambda x, samples: model(x, samples, mode='predict'),
            torch.randn(2, 3, 8, 8), samples, until)
    assert not any(m._forward_pre_hooks for m in model.modules())
    assert {name: len(calls) for name, calls in found.items()} == until
    return found


@pytest.mark.parametrize(
    'model', [
        Model(),
        Normalizing(),
        Standardizing(),
        Squaring(),
        Prototypes(once=True),
        Prototypes(once=True, own_size=5)
    ],
    ids=lambda m: type(m).__name__)
def test_a_teacher_that_looks_at_the_batch_is_taken(model):
    check(model)
    check(model, body=1, head=1)


@pytest.mark.parametrize(
    'model, reason', [
        (SlidingWindow(), 'calls body 2 times .* its own 1 times'),
        (Flipping(), 'calls body 2 times'),
        (Prototypes(once=False), 'calls body 2 times'),
        (OneWindow(),
         r'looks at images of shape \(2, 3, 8, 6\) .*\(2, 3, 8, 8\)'),
        (Resizing(), r'looks at images of shape \(2, 3, 16, 16\)'),
        (OnlyPrototypes(), 'first looks at other images'),
        (Mirroring(), 'first looks at images whose pixels are elsewhere'),
        (Reordering(), 'first looks at images whose pixels are elsewhere'),
        (Tiling(), 'first looks at images whose pixels are elsewhere'),
    ],
    ids=lambda x: type(x).__name__)
def test_a_teacher_that_looks_at_something_else_is_refused(model, reason):
    with pytest.raises(ValueError, match=f'teacher weak {reason}'):
        check(model)


@pytest.mark.parametrize('calls', [1, 3])
def test_a_module_called_more_or_less_often_than_the_students_is_refused(
        calls):
    with pytest.raises(ValueError, match=f'calls body {calls} times'):
        check(Model(calls), body=2)
    check(Model(calls), body=calls)


def test_predictions_may_fail_once_all_is_seen_and_leave_no_trace():
    samples = [{}, {}]
    check(Failing(), samples)
    assert samples == [{}, {}]
    with pytest.raises(KeyError):
        check(Failing(), samples, body=2)


def test_the_calls_are_those_of_a_forward_on_the_batch():
    model = Prototypes(once=True, own_size=2)
    call, = check(model)['body']
    assert torch.equal(call.output, model.body(call.inputs[0]))
    assert not torch.equal(call.inputs[0], torch.ones(2, 3, 8, 8))


def test_a_batch_of_one_image_is_enough():
    images, until = torch.randn(1, 3, 8, 8), dict(body=1)
    for model, fits in ((Squaring(), True), (Mirroring(), False)):
        look = WholeForward(model, 'weak', Recorder(model, until, 'teacher'))
        with torch.no_grad(), nullcontext() if fits else pytest.raises(
                ValueError, match='pixels are elsewhere'):
            look.calls(lambda x, _: model(x), images, None, until)


def test_a_plain_teacher_is_run_once():
    model, runs = Model(), []
    model.body.register_forward_hook(lambda *_: runs.append(1))
    check(model)
    assert runs == [1]
