# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Damaged teacher files: refused by their path, or the right weights."""
import copy
import io
import random
import zipfile
from collections import Counter

import pytest
import torch
from torch import nn

from mmw2s.distillation.strict_loading import load_strictly
from mmw2s.utils.checkpoint import load_weights

pytestmark = pytest.mark.slow


def model():
    torch.manual_seed(0)
    built = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16),
        nn.ReLU(), nn.Conv2d(16, 16, 3), nn.BatchNorm2d(16), nn.Flatten(),
        nn.Linear(64, 4))
    for value in built.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape) + 0.1)
    return built


RIGHT = model().state_dict()


def written(weights, zipped=True):
    file = io.BytesIO()
    torch.save(
        dict(
            meta=dict(epoch=1, dataset_meta=dict(classes=('a', 'b'))),
            state_dict=weights),
        file,
        _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def weights():
    return copy.deepcopy(dict(RIGHT))


def of_bytes():
    """Name and content of whole files that were damaged on their way."""
    whole, older = written(weights()), written(weights(), zipped=False)
    rng = random.Random(0)
    for share in (0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999):
        yield f'cut at {share}', whole[:int(share * len(whole))]
        # All of the older format's values are at its end.
        yield f'older, cut at {share}', older[:int(share * len(older))]
    for _ in range(12):
        at = rng.randrange(len(whole) - 512)
        yield f'zeroed at {at}', whole[:at] + bytes(512) + whole[at + 512:]
    with zipfile.ZipFile(io.BytesIO(whole)) as file:
        members = {
            info.filename.rpartition('archive/')[2] or info.filename: info
            for info in file.infolist()
        }
        contents = {name: file.read(i) for name, i in members.items()}
    for name, content in contents.items():
        if len(content) < 8:
            continue
        start = whole.index(content)
        for _ in range(2):
            at = start + rng.randrange(len(content))
            yield f'flipped in {name} at {at}', flipped(whole, at, rng)
    directory = whole.rindex(b'PK\x01\x02')
    for _ in range(16):
        at = rng.randrange(whole.index(b'PK\x01\x02'), len(whole))
        yield f'flipped in the directory at {at}', flipped(whole, at, rng)
    yield 'without its end', whole[:directory]
    yield 'doubled', whole + whole
    yield 'with a tail', whole + b'\n<html></html>'
    yield 'two halves swapped', whole[len(whole) // 2:] + \
        whole[:len(whole) // 2]


def flipped(data, at, rng):
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + \
        data[at + 1:]


def of_values():
    """Whole files of weights that are not the trained ones."""
    for key in ('0.weight', '1.running_var', '4.running_mean', '6.bias'):
        for dtype in (torch.int8, torch.uint8, torch.int32, torch.int64,
                      torch.bool, torch.complex64):
            changed = weights()
            changed[key] = changed[key].to(dtype)
            yield f'{key} as {dtype}', written(changed)
        for value in (float('nan'), float('inf'), -float('inf'), 1e38, -1e30):
            changed = weights()
            changed[key].view(-1)[-1] = value
            yield f'{value} in {key}', written(changed)
        changed = weights()
        del changed[key]
        yield f'without {key}', written(changed)
        changed[f'{key}x'] = RIGHT[key]
        yield f'{key} renamed', written(changed)
        changed = weights()
        changed[key] = changed[key][:-1]
        yield f'{key} shorter', written(changed)
        changed = weights()
        changed[f'module.{key}'] = changed[key] + 1
        yield f'{key} twice', written(changed)
    changed = weights()
    changed['1.running_var'][0] = -1
    yield 'a negative variance', written(changed)
    yield 'no weights', written({})
    yield 'two models', written({
        f'{who}.{key}': value + (who == 'student')
        for who in ('teacher', 'student')
        for key, value in RIGHT.items()
    })
    for what, content in (('empty', b''), ('a web page',
                                           b'<!doctype html><html></html>'),
                          ('JSON', b'{"state_dict": {}}'), ('text',
                                                            b'not found\n'),
                          ('gzip', b'\x1f\x8b\x08abc'), ('an image',
                                                         b'\x89PNG\r\n\x1a\n'),
                          ('LFS',
                           b'version https://git-lfs.github.com/spec/v1\n')):
        yield what, content


def of_harmless_changes():
    """Files that should load."""
    yield 'as it is', written(weights())
    yield 'the older format', written(weights(), zipped=False)
    yield 'wrapped', written({f'module.{k}': v for k, v in RIGHT.items()})
    yield 'compiled', written({f'_orig_mod.{k}': v for k, v in RIGHT.items()})
    yield 'within a model', written({f'net.{k}': v for k, v in RIGHT.items()})
    yield 'in float64', written({
        k: v.double() if v.is_floating_point() else v
        for k, v in RIGHT.items()
    })


def outcome(path):
    """``'right'``, ``'refused'``, or what is wrong."""
    loaded = model()
    for value in loaded.state_dict().values():
        value.zero_()
    try:
        found, _ = load_weights(path)
        load_strictly(loaded, found, path, 'Tiny')
    except ValueError as error:
        return 'refused' if path in str(error) else f'no path in: {error}'
    except Exception as error:
        return f'{type(error).__name__}: {error}'
    now = loaded.state_dict()
    return 'right' if all(torch.equal(now[key], RIGHT[key])
                          for key in RIGHT) else 'other weights'


@pytest.mark.parametrize('damages, least, allowed', [
    (of_bytes, 60, {'refused', 'right'}),
    (of_values, 60, {'refused'}),
    (of_harmless_changes, 6, {'right'}),
])
def test_a_damaged_file_is_refused_by_its_path_or_gives_the_right_weights(
        tmp_path, damages, least, allowed):
    found = {}
    for number, (what, content) in enumerate(damages()):
        path = tmp_path / f'teacher_{number}.pth'
        path.write_bytes(content)
        found[what] = outcome(str(path))
    print(f'\n{damages.__name__}: {len(found)} files,',
          dict(Counter(found.values())))
    assert {k: v for k, v in found.items() if v not in allowed} == {}
    assert len(found) >= least
