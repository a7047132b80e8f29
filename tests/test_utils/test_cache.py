# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy
import os.path as osp

import torch
from torch import nn

from mmw2s.utils.cache import cache_folder, weights_hash


def test_the_cache_is_where_the_variable_says(monkeypatch):
    monkeypatch.setenv('MMW2S_CACHE', '/somewhere')
    assert cache_folder('scores') == '/somewhere/scores'


def test_without_it_the_cache_is_the_users(monkeypatch):
    monkeypatch.delenv('MMW2S_CACHE')
    monkeypatch.setenv('XDG_CACHE_HOME', '/caches')
    assert cache_folder('scores') == '/caches/mmw2s/scores'
    monkeypatch.delenv('XDG_CACHE_HOME')
    assert cache_folder('scores') == osp.expanduser('~/.cache/mmw2s/scores')


def test_weights_are_told_apart_by_names_and_values():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    same = copy.deepcopy(model).to(memory_format=torch.channels_last)
    assert weights_hash(same) == weights_hash(model)
    assert weights_hash(nn.Sequential(model)) != weights_hash(model)
    same[1].num_batches_tracked += 1
    assert weights_hash(same) != weights_hash(model)
