# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import math

import pytest

from mmw2s.analysis.statistics import break_even


@pytest.mark.parametrize('teacher, baseline, other, students', [
    (100, 90, 40, 2),
    (101, 90, 40, 3),
    (40, 90, 40, 1),
    (0, 90, 40, 0),
    (100, 90, 90, None),
    (100, 90, 95, None),
    (100, 90, math.inf, None),
    (math.nan, 90, 40, None),
])
def test_so_many_students_pay_for_their_teacher(teacher, baseline, other,
                                                students):
    assert break_even(teacher, baseline, other) == students
