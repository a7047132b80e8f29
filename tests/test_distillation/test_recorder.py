# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import gc
import weakref

import pytest
import torch
from torch import nn

from mmw2s.distillation.recorder import EnoughRecorded, Recorder, find_module


class Chain(nn.Module):

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)
        self.reached = 0

    def forward(self, x):
        x = self.first(self.first(x))
        x = self.second(x)
        self.reached += 1
        return x


def test_calls_are_noted_only_while_it_is_open():
    model, x = Chain(), torch.ones(1, 2)
    recorder = Recorder(model, ['second'], 'student')
    model(x)
    assert recorder.close() == {}
    recorder.open()
    model(x)
    assert len(recorder.close()['second']) == 1
    model(x)
    assert recorder.close() == {}


def test_opening_anew_forgets_what_an_interrupted_forward_left():
    model, x = Chain(), torch.ones(1, 2)
    recorder = Recorder(model, ['second'], 'student')
    recorder.open()
    model(x)
    recorder.open()
    model(2 * x)
    call, = recorder.close()['second']
    assert torch.equal(call.output, model(2 * x))


def test_every_call_of_a_module_is_listed_with_inputs_and_output():
    model, x = Chain(), torch.ones(1, 2)
    recorder = Recorder(model, ['first', 'second', 'first'], 'student')
    recorder.open()
    result = model(x)
    calls = recorder.close()
    assert [len(calls[name]) for name in ('first', 'second')] == [2, 1]
    assert calls['first'][0].inputs[0] is x
    assert calls['first'][0].output is calls['first'][1].inputs[0]
    assert calls['second'][0].output is result


def test_a_module_that_is_not_called_has_an_empty_list():
    model = Chain()
    recorder = Recorder(model, ['first', 'second'], 'student')
    recorder.open()
    model.first(torch.ones(1, 2))
    assert recorder.close()['second'] == []


@pytest.mark.parametrize('until, first', [({
    'first': 1
}, 1), ({
    'first': 2
}, 2), ({
    'first': 1,
    'second': 1
}, 2)])
def test_the_forward_ends_right_after_the_last_call_asked_for(until, first):
    model = Chain()
    recorder = Recorder(model, ['first', 'second'], 'teacher')
    recorder.open(until)
    with pytest.raises(EnoughRecorded):
        model(torch.ones(1, 2))
    calls = recorder.close()
    assert len(calls['first']) == first
    assert len(calls['second']) == until.get('second', 0)
    assert model.reached == 0


def test_the_forward_ends_where_a_model_goes_on_after_any_error():

    class Careless(Chain):

        def forward(self, x):
            try:
                x = self.first(x)
            except Exception:
                pass
            return super().forward(x)

    model = Careless()
    recorder = Recorder(model, ['first'], 'teacher')
    recorder.open(until=dict(first=1))
    with pytest.raises(EnoughRecorded):
        model(torch.ones(1, 2))
    assert len(recorder.close()['first']) == 1


def test_the_forward_goes_on_once_the_recorder_is_closed():
    model = Chain()
    recorder = Recorder(model, ['first'], 'teacher')
    recorder.open({'first': 1})
    recorder.close()
    model(torch.ones(1, 2))
    recorder.open()
    model(torch.ones(1, 2))
    assert model.reached == 2


def test_an_unknown_module_is_refused_and_the_nearest_are_named():
    with pytest.raises(
            ValueError,
            match=r'the teacher \(Chain\) has no '
            'module "frist"; there are: first'):
        Recorder(Chain(), ['frist'], 'teacher')


def test_a_name_like_no_other_is_refused_with_the_models_children():
    with pytest.raises(ValueError, match='there are: first, second'):
        find_module(Chain(), 'xyz0', 'student')


def test_a_recorder_that_is_refused_leaves_no_hook_behind():
    model = Chain()
    with pytest.raises(ValueError):
        Recorder(model, ['first', 'nowhere'], 'student')
    assert not model.first._forward_hooks


def test_remove_leaves_no_hook_on_the_model():
    model = Chain()
    recorder = Recorder(model, ['first', 'second'], 'student')
    assert model.first._forward_hooks
    recorder.open()
    recorder.remove()
    recorder.remove()
    assert not any(m._forward_hooks for m in model.modules())
    model(torch.ones(1, 2))
    assert recorder.close() == {}


def test_nothing_is_kept_alive_after_close():
    model = Chain()
    recorder = Recorder(model, ['second'], 'student')
    recorder.open({'second': 2})
    kept = weakref.ref(model(torch.ones(1, 2)))
    assert kept() is not None
    recorder.close()
    gc.collect()
    assert kept() is None


# -- layers that change what they are given --------------------------------


class InPlace(nn.Module):
    """A norm before an in-place activation, and a residual sum."""

    def __init__(self, always=True):
        super().__init__()
        self.norm, self.relu = nn.BatchNorm1d(3), nn.ReLU(inplace=True)
        self.last, self.changes = nn.Linear(3, 3), always

    def forward(self, x):
        x = self.norm(x)
        y = self.last(self.relu(x) if self.changes else x)
        y += x
        return y


@pytest.mark.parametrize('name', ['norm', 'last'])
def test_an_output_is_noted_as_the_module_gave_it(name):
    model, given = InPlace(), []
    model.get_submodule(name).register_forward_hook(
        lambda *args: given.append(args[2].detach().clone()))
    recorder = Recorder(model, [name], 'student')
    for i in range(3):
        recorder.open()
        model(torch.randn(5, 3))
        call, = recorder.close()[name]
        assert torch.equal(call.output, given[i])
        call.output.sum().backward()
    assert model.norm.bias.grad.abs().sum() > 0


def test_only_outputs_that_are_changed_are_copied(monkeypatch):
    model = InPlace()
    recorder = Recorder(model, ['norm', 'relu'], 'student')
    copied = []
    monkeypatch.setattr('mmw2s.distillation.recorder._copy',
                        lambda x: copied.append(1) or x.clone())
    for expected in (2, 1, 1):
        copied.clear()
        recorder.open()
        model(torch.randn(5, 3))
        recorder.close()
        assert len(copied) == expected


def test_an_output_that_is_changed_later_on_is_refused():
    model = InPlace(always=False)
    recorder = Recorder(model, ['norm'], 'student')
    recorder.open()
    model(torch.randn(5, 3))
    recorder.close()
    model.changes = True
    recorder.open()
    model(torch.randn(5, 3))
    with pytest.raises(RuntimeError, match="student's norm is changed in"):
        recorder.close()


def test_a_list_of_maps_is_noted_as_it_was_too():

    class Levels(nn.Module):

        def forward(self, x):
            return dict(levels=[x + 1, (x + 2, )])

    model = nn.Sequential(Levels())
    recorder = Recorder(model, ['0'], 'teacher')
    recorder.open()
    model(torch.zeros(2))['levels'][1][0].relu_().mul_(7)
    call, = recorder.close()['0']
    assert call.output['levels'][1][0].tolist() == [2., 2.]
