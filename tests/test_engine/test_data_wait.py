# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from mmw2s.engine.data_wait import DataWaitHook


def test_the_share_is_that_between_a_step_and_the_next_batch(now):
    hook = DataWaitHook()
    hook.before_train_epoch(None)
    now[0] += 1  # the first batch
    hook.clock.stop()
    now[0] += 6  # a step
    hook.after_train_iter(None, 0)
    now[0] += 3  # the second batch
    hook.clock.stop()
    assert hook.share(10) == .4
    now[0] += 5
    hook.after_train_iter(None, 1)
    now[0] += 5
    hook.clock.stop()
    assert hook.share(20) == .5


def test_what_follows_the_last_step_is_no_waiting(now):
    hook = DataWaitHook()
    hook.after_train_iter(None, 0)
    now[0] += 100  # a validation
    hook.after_val(None)
    now[0] += 1
    hook.clock.stop()
    assert hook.share(10) == .1


def test_where_no_time_has_passed_there_is_no_share(now):
    hook = DataWaitHook()
    hook.reset(7)
    assert hook.share(7) is None
