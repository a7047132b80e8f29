# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os

import pytest

from mmw2s.utils.files import atomic_write, whole_file


def test_the_file_appears_whole_when_the_block_ends(tmp_path):
    path = tmp_path / 'a.txt'
    with atomic_write(str(path)) as file:
        file.write('ä')
        assert not path.exists()
    assert path.read_text(encoding='utf-8') == 'ä'
    assert os.listdir(tmp_path) == ['a.txt']


def test_an_interrupted_write_leaves_the_earlier_file_alone(tmp_path):
    path = tmp_path / 'a.bin'
    path.write_bytes(b'earlier')
    with pytest.raises(KeyboardInterrupt):
        with atomic_write(str(path), binary=True) as file:
            file.write(b'half of the new')
            raise KeyboardInterrupt
    assert path.read_bytes() == b'earlier'
    assert os.listdir(tmp_path) == ['a.bin']


def test_a_path_to_write_to_has_the_suffix_of_the_file(tmp_path):
    path = tmp_path / 'a.npz'
    with whole_file(str(path)) as temporary:
        assert temporary.endswith('.npz') and not path.exists()
        with open(temporary, 'wb') as file:
            file.write(b'whole')
    assert path.read_bytes() == b'whole' and os.listdir(tmp_path) == ['a.npz']
