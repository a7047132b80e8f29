# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from mmw2s.study.estimate import estimate, total


def test_each_arm_has_the_steps_of_its_kind(planned, folder):
    before = set(folder.iterdir())
    plan = planned(
        seeds=[0, 1],
        arms=dict(baseline={}, both={}, start={}, always_on=dict(seeds=[0])))
    paces = estimate(plan)
    assert set(paces) == {*plan.arms, 'teacher'}
    assert {pace.iters for pace in paces.values()} == {8}
    assert paces['start'] == paces['baseline']
    alone, half, whole = (
        paces[arm].step for arm in ('baseline', 'both', 'always_on'))
    assert abs(2 * half - alone - whole) < 1e-9
    runs = dict(baseline=2, both=2, start=2, always_on=1, teacher=1)
    assert total(plan, paces) == sum(count * paces[name].seconds
                                     for name, count in runs.items())
    assert set(folder.iterdir()) == before


def test_an_arm_with_a_shorter_run_has_its_own_length(planned):
    short = dict(like='start', cfg_options={'train_cfg.max_epochs': 1})
    paces = estimate(planned(arms=dict(baseline={}, start={}, short=short)))
    assert (paces['start'].iters, paces['short'].iters) == (8, 4)
    assert (paces['start'].validations, paces['short'].validations) == (2, 1)
