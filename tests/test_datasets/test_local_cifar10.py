# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pickle
import re

import numpy as np
import pytest

local_cifar10 = pytest.importorskip('mmw2s.datasets.local_cifar10')


@pytest.fixture
def root(tmp_path):
    """A tiny CIFAR-10: two images a file, with other checksums."""
    folder = tmp_path / 'cifar-10-batches-py'
    folder.mkdir()
    names = [f'data_batch_{i}' for i in range(1, 6)] + ['test_batch']
    for i, name in enumerate(names):
        images = np.full((2, 3072), i, np.uint8)
        (folder / name).write_bytes(
            pickle.dumps({
                'data': images,
                'labels': [i, 9]
            }))
    (folder / 'batches.meta').write_bytes(
        pickle.dumps({'label_names': [str(i) for i in range(10)]}))
    return tmp_path


@pytest.mark.parametrize('split, labels', [
    ('train', [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]),
    ('test', [5, 9]),
])
def test_files_of_other_checksums_are_read(root, split, labels):
    data = local_cifar10.LocalCIFAR10(str(root), split=split, pipeline=[])
    assert [data.get_gt_labels()[i] for i in range(len(data))] == labels
    assert data[0]['img'].shape == (32, 32, 3)
    assert (data[0]['img'] == labels[0]).all()


def test_a_missing_file_is_told_with_the_command_that_makes_it(root):
    (root / 'cifar-10-batches-py' / 'data_batch_3').unlink()
    with pytest.raises(
            FileNotFoundError,
            match=re.escape(f'tools/dataset_converters/cifar10.py {root}')):
        local_cifar10.LocalCIFAR10(str(root), split='train', pipeline=[])
