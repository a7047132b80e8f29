# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import hashlib
import zipfile

import pytest
import torch
from torch import nn

from mmw2s.utils.weight_files import (has_checksums, hash_in_name,
                                      read_weight_file)


def saved(path, **options):
    torch.manual_seed(0)
    torch.save(nn.Linear(64, 64).state_dict(), path, **options)
    return str(path)


def zero(path, member='data/0'):
    """Zero what a zip file's member holds, as a bad disk does."""
    with zipfile.ZipFile(path) as file:
        info = next(i for i in file.infolist() if i.filename.endswith(member))
        stored = file.read(info)
    with open(path, 'rb') as file:
        data = file.read()
    with open(path, 'wb') as file:
        file.write(data.replace(stored, bytes(len(stored))))


def test_zeroed_values_are_found_by_the_check_sums_of_the_zip(tmp_path):
    path = saved(tmp_path / 'a.pth')
    zero(path)
    torch.load(path)  # notices nothing
    with pytest.raises(ValueError, match='a.pth is damaged: the check sum of'):
        read_weight_file(path)
    with pytest.raises(ValueError, match='a.pth is damaged: the check sum of'):
        read_weight_file(path, trust=True)


def test_the_older_format_is_held_against_the_hash_in_its_name(tmp_path):
    path = saved(tmp_path / 'b.pth', _use_new_zipfile_serialization=False)
    assert not has_checksums(path)
    content = (tmp_path / 'b.pth').read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:8]
    named = tmp_path / f'b_20200102-{digest}.pth'
    named.write_bytes(content)
    assert has_checksums(str(named))
    assert set(read_weight_file(str(named))) == {'weight', 'bias'}
    named.write_bytes(content[:-100] + bytes(100))
    torch.load(named)
    with pytest.raises(ValueError, match='damaged: its sha256'):
        read_weight_file(str(named))


@pytest.mark.parametrize('name, expected', [
    ('r18_20220407_171055-614fd399.pth', '614fd399'),
    ('resnet50-0676ba61.pth', '0676ba61'),
    ('run-20230101.pth', None),
    ('iter-00090000.pth', None),
    ('epoch_12.pth', None),
])
def test_a_hash_in_a_name_is_told_from_a_date(name, expected):
    assert hash_in_name(f'/models/{name}') == expected


def test_safetensors_are_told_by_their_content(tmp_path):
    pytest.importorskip('safetensors')
    from safetensors.torch import save_file
    weights = nn.Linear(2, 2).state_dict()
    save_file(weights, tmp_path / 'a.pth')
    found = read_weight_file(str(tmp_path / 'a.pth'))
    assert all(torch.equal(found[k], weights[k]) for k in weights)
    torch.save(weights, tmp_path / 'b.safetensors')
    assert set(read_weight_file(str(tmp_path / 'b.safetensors'))) == \
        set(weights)


@pytest.mark.parametrize('content, what', [
    (b'', 'is empty'),
    (b'\n<html>Log in</html>', 'web page'),
    (b'version https://git-lfs.github.com/spec/v1', 'git lfs pull'),
    (b'\x1f\x8b\x08', 'gzip'),
    (b'\x89HDF\r\n', 'HDF5'),
    (b'/runs/epoch_12.pth', 'is a text .*: give the checkpoint that'),
    (b'{"metadata": {}, "weight_map": {}}', 'shards'),
    ('h\u00e9'.encode() * 300, 'is a text'),
])
def test_what_is_taken_for_weights_by_mistake_is_named(tmp_path, content,
                                                       what):
    path = tmp_path / 'x.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f'x.pth .*{what}'):
        read_weight_file(str(path))


def test_an_unreadable_file_is_told_without_advice_to_run_its_code(tmp_path):
    path = tmp_path / 'x.pth'
    path.write_bytes(b'\x80\x02no pickle')
    with pytest.raises(ValueError, match='x.pth is') as caught:
        read_weight_file(str(path))
    assert 'weights_only' not in str(caught.value)


def test_an_archive_around_a_checkpoint_is_to_be_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / 'x.pth', 'w') as file:
        file.writestr('epoch_12.pth', b'weights')
    with pytest.raises(ValueError, match='epoch_12.pth.*: unpack it'):
        read_weight_file(str(tmp_path / 'x.pth'))


def test_a_torchscript_program_is_refused_even_if_trusted(tmp_path):
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / 'x.pt'))
    with pytest.raises(ValueError, match='x.pt is a TorchScript program'):
        read_weight_file(str(tmp_path / 'x.pt'), trust=True)
