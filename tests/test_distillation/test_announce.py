# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.distillation.announce import until_when
from mmw2s.distillation.stop_rules import StopRule
from mmw2s.registry import SCHEDULES, STOP_RULES

FADING = dict(
    type='WarmupHoldDecay', warmup=.02, hold=.13, decay=.15, unit='run')
HELD = dict(type='Constant', value=1.)
SURPASS = dict(type='SurpassTeacher', metric='coco/bbox_mAP')


def said(schedule, stop) -> str:
    """Of a run of 12 epochs of 100 iterations, the teacher at 0.433."""
    schedule, stop = SCHEDULES.build(schedule), STOP_RULES.build(stop)
    schedule.bind(1200, 100)
    stop.bind(1200, 100, {'coco/bbox_mAP': .433})
    return until_when(schedule, stop, 1200, 100)


@pytest.mark.parametrize('schedule, stop, text', [
    (FADING, SURPASS, 'until epoch 3.6, iteration 360 (the schedule), or '
     'sooner once coco/bbox_mAP > 0.433 twice in a row'),
    (HELD, SURPASS, 'until epoch 6, iteration 600 (the stop rule), or sooner '
     'once coco/bbox_mAP > 0.433 twice in a row'),
    (HELD, dict(SURPASS, latest=None, consecutive=1, margin=.01),
     'until epoch 12, iteration 1200 (the end of the run), or sooner once '
     'coco/bbox_mAP > 0.443'),
    (HELD, dict(SURPASS, rule='less', margin=.01, consecutive=3),
     'until epoch 6, iteration 600 (the stop rule), or sooner once '
     'coco/bbox_mAP < 0.423 3 times in a row'),
    (FADING, dict(type='At',
                  epoch=2), 'until epoch 2, iteration 200 (the stop rule)'),
    (FADING, dict(type='At',
                  epoch=10), 'until epoch 3.6, iteration 360 (the schedule)'),
    (FADING, dict(type='SurpassOnTrain'),
     'until epoch 3.6, iteration 360 (the schedule), or sooner once the '
     "student's training loss is below the teacher's"),
])
def test_the_end_that_is_certain_and_what_may_come_sooner(
        schedule, stop, text):
    assert said(schedule, stop) == text


def test_of_a_rule_of_ones_own_its_name_is_said():

    class Whim(StopRule):

        def after(self, row):
            return None

    schedule, stop = SCHEDULES.build(HELD), Whim(latest=.25)
    schedule.bind(1200, 100)
    stop.bind(1200, 100)
    assert until_when(schedule, stop, 1200, 100) == (
        'until epoch 3, iteration 300 (the stop rule), or sooner once Whim '
        'says so')
