# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.distillation.stop_rules import StopRule, SurpassTeacher


class TestStopRule:

    def test_nothing_is_said_of_a_rule_that_looks_at_no_row(self):
        assert StopRule().condition() is None and StopRule().ends_at() is None
        assert StopRule().scores() == {}

    def test_of_a_rule_that_does_its_name_is_said(self):

        class Own(StopRule):

            def after(self, row):
                return None

        assert Own().condition() == 'Own says so'

    def test_by_itself_it_never_stops(self):
        rule = StopRule()
        rule.bind(10, 5)
        assert rule.at(10) is None and \
            rule.after(dict(event='val', iter=0, metrics=dict(mAP=1.))) is None

    @pytest.mark.parametrize('latest', [0, -0.1, 1.1])
    def test_a_latest_point_outside_the_run_is_refused(self, latest):
        with pytest.raises(
                ValueError,
                match=r'latest \(a share of the run\) '
                'should be a finite number > 0 and <= 1'):
            SurpassTeacher(latest=latest)
