# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.pair.options import Options


@pytest.mark.parametrize('fields, message', [
    (dict(teacher_scale=2.), '--teacher-scale should be .* > 0 and <= 1'),
    (dict(useful_at=0.), '--useful-at should be a finite number > 0'),
    (dict(student_lr=0.), '--student-lr should be a finite number > 0'),
    (dict(best=-1.), '--best should be a finite number > 0'),
    (dict(start='Shrink'), '--start should be one of'),
    (dict(seeds=(1, 1)), '--seeds should name each seed once'),
    (dict(seeds=()), '--seeds should name .* got none'),
    (dict(with_baseline=True, baseline=['x']), 'give one'),
])
def test_wrong_options_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Options('student.py', 'pair', **fields).check()
