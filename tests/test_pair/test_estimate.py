# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from mmw2s.pair.estimate import Pace, estimate
from mmw2s.pair.options import Options
from mmw2s.pair.plan import make_plan


def test_a_run_takes_its_steps_and_its_validations():
    assert Pace(.5, 100, 2., 5).seconds == 60.


def test_each_stage_is_measured_by_its_own_model_and_length(student, tmp_path):
    plan = make_plan(
        Options(student, 'pair', seeds=(0, 1), with_baseline=True))
    paces = estimate(plan)
    assert list(paces) == [stage.name for stage in plan.stages]
    alone, teacher, taught = (
        paces[name]
        for name in ('student_s1_baseline', 'teacher', 'student_s1'))
    assert (alone.iters, alone.validations) == (16, 4)
    assert (taught.iters, taught.validations) == (16, 4)
    assert (teacher.iters, teacher.validations) == (8, 2)
    # Two modes of one student, the second with a teacher in half its steps.
    assert taught.step > 0 and taught.validation == alone.validation > 0
    assert list(tmp_path.iterdir()) == [tmp_path / 'student.py']


def test_a_shorter_student_is_measured_by_its_own_length(student):
    paces = estimate(
        make_plan(
            Options(student, 'pair', with_baseline=True, student_length=0.5)))
    assert (paces['student_s0_baseline'].iters,
            paces['student_s0'].iters) == (16, 8)
    assert (paces['student_s0_baseline'].validations,
            paces['student_s0'].validations) == (4, 2)


def test_several_processes_share_the_data():
    pace = Pace(step=2., iters=9, validation=3., validations=4)
    assert pace.shared(2, True) == Pace(2., 5, 1.5, 4)
    assert pace.shared(2, False) == Pace(2., 9, 1.5, 4)
