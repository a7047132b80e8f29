# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
from mmengine.config import Config

from mmw2s import TimeToTargetHook
from mmw2s.utils.hook_configs import hook_configs


@pytest.mark.parametrize(
    'kind', ['TimeToTargetHook', 'mmw2s.TimeToTargetHook', TimeToTargetHook])
@pytest.mark.parametrize('where', ['default_hooks', 'custom_hooks'])
def test_a_hook_is_found_wherever_it_stands(where, kind):
    hook = dict(type=kind, targets={})
    other = dict(type='EMAHook')
    hooks = dict(timer=None, logger=dict(interval=5), ema=other, w2s=hook) \
        if where == 'default_hooks' else [other, hook]
    cfg = Config({where: hooks})
    assert hook_configs(cfg, 'TimeToTargetHook') == [hook]
    assert hook_configs(cfg, 'EMAHook') == [other]
    assert hook_configs(cfg, 'Hook') == []


def test_a_config_may_have_no_hooks():
    assert hook_configs(dict(custom_hooks=None), 'EMAHook') == []
