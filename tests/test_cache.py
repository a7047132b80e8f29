# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os.path as osp

from mmw2s.cache import cache_folder


def test_the_cache_is_where_the_variable_says(monkeypatch):
    monkeypatch.setenv('MMW2S_CACHE', '/somewhere')
    assert cache_folder('scores') == '/somewhere/scores'


def test_without_it_the_cache_is_the_users(monkeypatch):
    monkeypatch.delenv('MMW2S_CACHE')
    monkeypatch.setenv('XDG_CACHE_HOME', '/caches')
    assert cache_folder('scores') == '/caches/mmw2s/scores'
    monkeypatch.delenv('XDG_CACHE_HOME')
    assert cache_folder('scores') == osp.expanduser('~/.cache/mmw2s/scores')
