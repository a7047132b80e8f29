# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch import nn

from mmw2s.utils.checkpoint import load_weights


class Malicious:
    """Pickles into a command."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker, )


def training_checkpoint(model):
    """What MMEngine saves in training, in kind."""
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    history = HistoryBuffer(np.array([1., 2.]), np.array([1, 1]))
    return dict(
        meta=dict(
            epoch=1,
            iter=4,
            cfg='',
            seed=0,
            time='now',
            dataset_meta=dict(classes=('a', 'b'))),
        state_dict=model.state_dict(),
        optimizer=optimizer.state_dict(),
        message_hub=dict(
            log_scalars={
                'train/loss': history,
                'lr': HistoryBuffer()
            },
            runtime_info=dict(
                iter=4,
                mAP=np.float64(0.3),
                count=np.int64(3),
                array=np.zeros(3)),
            resumed_keys={'train/loss': True}))


def same(found, expected):
    return list(found) == list(expected) and all(
        torch.equal(found[key], expected[key]) for key in expected)


def test_a_training_checkpoint_loads_without_unpickling_foreign_code(
        tmp_path, monkeypatch):
    model, path = nn.Linear(3, 2), str(tmp_path / 'epoch_1.pth')
    checkpoint = training_checkpoint(model)
    torch.save(checkpoint, path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)

    def forbidden(*args, **kwargs):
        raise AssertionError('a foreign class was built')

    monkeypatch.setattr(
        HistoryBuffer, '__setstate__', forbidden, raising=False)
    monkeypatch.setattr(HistoryBuffer, '__init__', forbidden)
    weights, meta = load_weights(path)
    assert same(weights, model.state_dict())
    assert meta['dataset_meta'] == dict(classes=('a', 'b'))


def test_the_names_allowed_for_it_are_forgotten_afterwards(tmp_path):
    path = str(tmp_path / 'epoch_1.pth')
    torch.save(training_checkpoint(nn.Linear(3, 2)), path)
    before = set(torch.serialization.get_safe_globals())
    load_weights(path)
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)


@pytest.mark.parametrize('zipped', [True, False])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path, zipped):
    path, marker = str(tmp_path / 'bad.pth'), tmp_path / 'marker'
    torch.save(
        dict(state_dict=nn.Linear(3, 2).state_dict(), x=Malicious(marker)),
        path,
        _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError) as error:
        load_weights(path)
    assert 'teacher.trust_checkpoint=True' in str(error.value)
    assert f'{os.mkdir.__module__}.mkdir' in str(error.value)
    assert not marker.exists()


def test_code_hidden_behind_an_allowed_name_is_not_run(tmp_path):

    class Getattr:

        def __reduce__(self):
            return getattr, ('text', 'nowhere')

    path = str(tmp_path / 'hidden.pth')
    torch.save(dict(state_dict=dict(a=torch.ones(1)), x=Getattr()), path)
    weights, _ = load_weights(path)
    assert same(weights, dict(a=torch.ones(1)))


def test_a_trusted_file_is_unpickled_whatever_it_asks_for(tmp_path):
    path, marker = str(tmp_path / 'bad.pth'), tmp_path / 'marker'
    model = nn.Linear(3, 2)
    torch.save(dict(state_dict=model.state_dict(), x=Malicious(marker)), path)
    weights, _ = load_weights(path, trust=True)
    assert same(weights, model.state_dict())
    assert marker.exists()


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('share', [0., 0.001, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused_by_name(tmp_path, share, zipped):
    path = tmp_path / 'cut.pth'
    torch.save(
        training_checkpoint(nn.Linear(3, 2)),
        path,
        _use_new_zipfile_serialization=zipped)
    data = path.read_bytes()
    path.write_bytes(data[:int(share * len(data))])
    with pytest.raises(ValueError, match='cut.pth'):
        load_weights(str(path))


@pytest.mark.parametrize('content', [
    b'<!DOCTYPE html><html>404</html>', b'version https://git-lfs', b'\x80',
    bytes(range(256)), b'PK\x03\x04garbage', b'\x80\x02}q\x00.',
    b'{"state_dict": {}}', b'(lp0', b'I1\n.', b'cos\nsystem\n.'
])
def test_what_is_no_checkpoint_is_refused_by_name(tmp_path, content):
    path = tmp_path / 'text.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='text.pth'):
        load_weights(str(path))


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match='no file .*nowhere.pth'):
        load_weights(str(tmp_path / 'nowhere.pth'))
    with pytest.raises(FileNotFoundError):
        load_weights(str(tmp_path))


def test_a_bare_state_dict_is_taken_and_has_no_meta(tmp_path):
    model, path = nn.Linear(3, 2), str(tmp_path / 'bare.pth')
    torch.save(model.state_dict(), path)
    weights, meta = load_weights(path)
    assert same(weights, model.state_dict()) and meta == {}


def test_the_prefix_of_a_wrapper_is_stripped_with_its_versions(tmp_path):
    model, path = nn.Sequential(nn.BatchNorm1d(2)), tmp_path / 'ddp.pth'
    wrapped = nn.Module()
    wrapped.module = model
    torch.save(dict(state_dict=wrapped.state_dict()), path)
    weights, _ = load_weights(str(path))
    assert same(weights, model.state_dict())
    assert weights._metadata['0'] == model.state_dict()._metadata['0']


def test_a_prefix_within_a_name_stays(tmp_path):
    path = tmp_path / 'inner.pth'
    torch.save({'neck.module.a': torch.ones(1)}, path)
    assert list(load_weights(str(path))[0]) == ['neck.module.a']


@pytest.mark.parametrize('checkpoint', [{},
                                        dict(meta=dict(epoch=1)),
                                        dict(state_dict={}),
                                        dict(state_dict=None, epoch=1),
                                        dict(state_dict=OrderedDict(a=1))])
def test_a_file_without_weights_is_refused(tmp_path, checkpoint):
    path = tmp_path / 'empty.pth'
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match='empty.pth holds no weights'):
        load_weights(str(path))


@pytest.mark.parametrize('held', [[torch.ones(1)], torch.ones(1)])
def test_a_file_that_holds_no_dict_is_refused(tmp_path, held):
    path = tmp_path / 'list.pth'
    torch.save(held, path)
    with pytest.raises(ValueError, match='should hold a dict of weights'):
        load_weights(str(path))


def test_a_meta_that_is_no_dict_is_left_out(tmp_path):
    path = tmp_path / 'odd.pth'
    torch.save(dict(state_dict=dict(a=torch.ones(1)), meta='2020'), path)
    assert load_weights(str(path))[1] == {}


@pytest.mark.parametrize('key', [
    'module.a.weight', 'module.module.a.weight', '_orig_mod.a.weight',
    'a._orig_mod.weight', 'module._orig_mod.a.weight',
    '_fsdp_wrapped_module.a._checkpoint_wrapped_module.weight'
])
def test_what_wrappers_add_to_a_name_is_taken_off(tmp_path, key):
    path = tmp_path / 'wrapped.pth'
    torch.save(dict(state_dict={key: torch.ones(1)}), path)
    assert list(load_weights(str(path))[0]) == ['a.weight']


def test_two_different_tensors_of_one_name_are_refused(tmp_path):
    path = tmp_path / 'two.pth'
    torch.save({'a': torch.ones(1), 'module.a': torch.zeros(1)}, path)
    with pytest.raises(ValueError, match='two.pth holds two different a'):
        load_weights(str(path))
    torch.save({'a': torch.ones(1), 'module.a': torch.ones(1)}, path)
    assert same(load_weights(str(path))[0], dict(a=torch.ones(1)))


@pytest.mark.parametrize('place', ['state_dict', 'model', 'model_state_dict'])
def test_weights_are_found_where_they_are_put_by_habit(tmp_path, place):
    path = tmp_path / 'x.pth'
    torch.save({place: dict(a=torch.ones(1)), 'epoch': 3}, path)
    assert list(load_weights(str(path))[0]) == ['a']


@pytest.mark.parametrize('held', [
    dict(module=dict(a=torch.ones(1)), epoch=3),
    dict(net=dict(a=torch.ones(1)), accuracy=torch.tensor(0.9)),
    dict(ema_state_dict={
        'steps': torch.tensor(1),
        'module.a': torch.ones(1)
    }),
    dict(model=dict(state_dict=dict(a=torch.ones(1)))),
])
def test_weights_that_stand_elsewhere_are_found_if_they_are_alone(
        tmp_path, held):
    path = tmp_path / 'x.pth'
    torch.save(held, path)
    assert torch.equal(load_weights(str(path))[0]['a'], torch.ones(1))


def test_of_weights_under_two_other_names_none_is_guessed(tmp_path):
    path = tmp_path / 'x.pth'
    one = dict(a=torch.ones(1))
    torch.save(dict(net=one, net_ema=one), path)
    with pytest.raises(ValueError, match="'net', 'net_ema': which are"):
        load_weights(str(path))


@pytest.mark.parametrize('place', [None, 'model'])
def test_a_whole_model_in_a_trusted_file_is_taken(tmp_path, place):
    path, model = tmp_path / 'x.pth', nn.Linear(2, 1)
    torch.save({place: model} if place else model, path)
    assert same(load_weights(str(path), trust=True)[0], model.state_dict())


def test_a_url_of_a_file_is_its_path(tmp_path):
    path = tmp_path / 'a b.pth'
    torch.save(dict(a=torch.ones(1)), path)
    assert list(load_weights(path.as_uri())[0]) == ['a']


def test_the_averaged_weights_are_taken_as_mmengine_saves_them(tmp_path):
    path = tmp_path / 'ema.pth'
    torch.save(
        dict(
            state_dict=dict(a=torch.ones(1)),
            ema_state_dict={
                'steps': torch.tensor(1),
                'module.a': torch.zeros(1)
            }), path)
    assert same(load_weights(str(path))[0], dict(a=torch.ones(1)))


def test_a_format_without_check_sums_is_warned_of(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr('mmw2s.utils.checkpoint.print_log',
                        lambda text, **_: said.append(text))
    path = str(tmp_path / 'x.pth')
    torch.save(dict(a=torch.ones(1)), path)
    load_weights(path)
    assert said == []
    torch.save(
        dict(a=torch.ones(1)), path, _use_new_zipfile_serialization=False)
    load_weights(path)
    assert 'x.pth is of a format without check sums' in said[0]


def test_a_url_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="http.s. URL, but got 's3://a/b'"):
        load_weights('s3://a/b')


def test_a_failed_download_says_what_to_do(tmp_path, monkeypatch):

    def refuse(*args, **kwargs):
        raise OSError('no route to host')

    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setattr('mmw2s.utils.downloads.urlopen', refuse)
    with pytest.raises(RuntimeError, match='no route to host.*by hand'):
        load_weights('http://models.example/x.pth')
