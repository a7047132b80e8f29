# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from mmengine.registry import DATASETS

pytest.importorskip('sklearn')


def test_all_scans_are_split_into_two_sets():
    train, val = (
        DATASETS.build(dict(type='Digits', split=split))
        for split in ('train', 'val'))
    assert (len(train), len(val)) == (1437, 360)
    assert train.metainfo['classes'][7] == '7'
    item = train[3]
    assert item['inputs'].shape == (1, 8, 8)
    assert item['inputs'].dtype == torch.uint8
    assert item['data_samples'].gt_label.item() == 3


def test_values_use_the_whole_range():
    pixels = torch.stack(
        [item['inputs'] for item in DATASETS.build(dict(type='Digits'))])
    assert pixels.min() == 0 and pixels.max() == 255


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="one of 'train', 'val', but got"):
        DATASETS.build(dict(type='Digits', split='test'))
