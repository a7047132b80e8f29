# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.distillation.stop_rules import At


class TestAt:

    def test_its_end_is_known(self):
        rule = At(epoch=2)
        rule.bind(100, 10)
        assert rule.ends_at() == 20
        assert rule.at(20) == 'iteration 20 is reached, as set'

    @pytest.mark.parametrize('fields, first', [(dict(iter=7), 7),
                                               (dict(iter=0), 0),
                                               (dict(epoch=2), 20),
                                               (dict(epoch=0.25), 2)])
    def test_it_stops_at_its_point(self, fields, first):
        rule = At(**fields)
        rule.bind(100, 10)
        assert [i for i in range(101) if rule.at(i)][0] == first

    @pytest.mark.parametrize('fields', [{}, dict(iter=1, epoch=1)])
    def test_it_needs_one_point(self, fields):
        with pytest.raises(ValueError, match='either "epoch" or "iter"'):
            At(**fields)

    def test_a_point_before_the_run_is_refused(self):
        with pytest.raises(
                ValueError, match='At.epoch should be a finite number >= 0'):
            At(epoch=-1)

    def test_a_point_beyond_the_run_is_warned_of(self, warned):
        At(epoch=10).bind(100, 10)
        assert not warned
        At(epoch=11).bind(100, 10)
        assert 'beyond the end of the run (100)' in warned[0]
