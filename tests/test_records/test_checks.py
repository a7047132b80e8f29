# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.records.checks import (COUNT, FLAG, LOSS, MAYBE_COUNT, METRICS,
                                  NUMBER, SECONDS, TEXT, misfit, shown)

INF, NAN = float('inf'), float('nan')
LARGEST = 3.4028235e38


@pytest.mark.parametrize('kind, fitting, others', [
    (COUNT, [0, 7], [-1, 1.0, True, '1', None, 10**39]),
    (FLAG, [True, False], [0, 1, None, 'true']),
    (NUMBER, [0, -2.5, LARGEST, -LARGEST], [True, INF, NAN, 4e38, '1', None]),
    (SECONDS, [0, 9.9e9], [-0.1, 1e10, INF, NAN, True, None]),
    (LOSS, [1.5, INF, -INF, NAN], [True, 4e38, None, 'nan']),
    (TEXT, ['', 'a'], [b'a', 1, None]),
    (MAYBE_COUNT, [None, 0], [-1, 0.5]),
    (METRICS, [{}, dict(a=0.5, b=None)], [[], dict(a=NAN),
                                          dict(a='1')]),
])
class TestKinds:

    def test_what_fits_is_taken(self, kind, fitting, others):
        assert [v for v in fitting if not kind.fits(v)] == []

    def test_all_else_is_refused(self, kind, fitting, others):
        assert [v for v in others if kind.fits(v)] == []


class TestMisfit:
    KINDS = dict(a=COUNT, b=TEXT)

    def test_a_row_that_fits(self):
        assert misfit(dict(a=1, b='x', later=None), self.KINDS) is None

    def test_a_field_that_is_missing(self):
        assert misfit(dict(a=1), self.KINDS) == "it has no 'b'"

    def test_a_field_that_may_be_missing(self):
        assert misfit(dict(a=1), self.KINDS, optional=['b']) is None

    def test_fields_after_one_that_is_missing_are_looked_at(self):
        assert 'its b should' in misfit(dict(b=3), self.KINDS, optional=['a'])

    def test_a_value_is_shown(self):
        assert misfit(dict(a='x', b='y'), self.KINDS) == \
            "its a should be a whole number >= 0, but is 'x'"


class TestShown:

    @pytest.mark.parametrize('length', [38, 39])
    def test_a_text_is_cut_where_it_is_long(self, length):
        text = repr('x' * length)  # of two more
        assert shown('x' * length) == (
            text if length == 38 else text[:40] + '...')

    def test_a_number_of_too_many_digits(self):
        assert shown(10**5000) == 'a huge int'
