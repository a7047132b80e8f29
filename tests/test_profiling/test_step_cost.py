# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json

import pytest
from rich.console import Console

from mmw2s.profiling.step_cost import (AGAIN, BASELINE, FLOOR, OFF, ON,
                                       TEACHER, StepCost)


def cost(left=0):
    """Rounds in one of which the machine was ten times slower."""
    return StepCost(
        ms={
            BASELINE: [100., 1000., 100., 110., 100.],
            FLOOR: [120., 1200., 120., 132., 120.],
            ON: [123., 1230., 123., 135.3, 123.],
            AGAIN: [200., 100., 100.],
            OFF: [200., 100., 101.]
        },
        peak_mib=dict(zip((BASELINE, FLOOR, ON, AGAIN, OFF), range(300, 305))),
        teacher_parts=12,
        teacher_parts_left=left,
        facts=dict(cpu_count=2))


def printed(result):
    console = Console(record=True, width=100)
    result.print(console)
    return console.export_text()


def test_ratios_are_taken_round_by_round():
    ratio = cost().ratio(ON, FLOOR)
    assert ratio == pytest.approx((1.025, 1.025, 1.025))
    assert cost().ratio(OFF, AGAIN) == pytest.approx((1., 1., 1.005))


@pytest.mark.parametrize('speedup, share, net', [(2., 0., 2.),
                                                 (2., 1., 2 / 1.23),
                                                 (1.5, .5, 1.5 / 1.115)])
def test_the_net_speedup_follows_from_what_a_step_costs(speedup, share, net):
    assert cost().net_speedup(speedup, share) == pytest.approx(net)


def test_tables_have_medians_quartiles_ratios_and_goals():
    text = printed(cost(left=3))
    rows = [line.split() for line in text.splitlines()]
    assert ['baseline', '100.0', '100.0', '-', '110.0', '300', 'MiB'] in rows
    assert '1.025 - 1.025   <= 1.02' in text
    assert ['2x', '1.89x', '1.79x', '1.63x'] in rows
    assert '3 of 12 modules and tensors of the teacher' in text


def test_the_json_has_every_single_time():
    content = json.loads(cost().to_json())
    assert content['modes'][ON]['ms'] == cost().ms[ON]
    assert content['modes'][ON]['median'] == 123.
    assert content['modes'][ON]['peak_mib'] == 302
    name = 'distillation on / baseline + teacher forward'
    assert content['ratios'][name]['median'] == pytest.approx(1.025)
    assert content['facts'] == dict(cpu_count=2)
    assert content['teacher_parts_left'] == 0


def test_the_teachers_own_training_has_a_ratio_where_it_was_measured():
    result = cost()
    name = "teacher's own training / baseline, again"
    assert name not in result.ratios and name not in printed(result)
    result.ms[TEACHER] = [60., 30., 30.]
    result.peak_mib[TEACHER] = 9.
    assert json.loads(result.to_json())['ratios'][name]['median'] == .3
    assert name in printed(result)
