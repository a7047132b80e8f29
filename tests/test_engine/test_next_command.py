# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from mmw2s.engine.next_command import next_command
from mmw2s.records.files import EVENTS


def test_a_run_with_a_teacher_is_compared_with_the_baseline_beside_it(
        tmp_path):
    run = tmp_path / 'run'
    run.mkdir()
    (run / EVENTS).touch()
    assert next_command(f'{run}/') == f'mmw2s compare BASELINE_RUN --w2s {run}'
    (tmp_path / 'run_baseline').mkdir()
    assert next_command(str(run)) == \
        f'mmw2s compare {run}_baseline --w2s {run}'


def test_a_baseline_is_compared_with_the_run_that_it_was_made_from(tmp_path):
    run = tmp_path / 'a run'
    run.mkdir()
    baseline = f'{run}_baseline'
    assert next_command(
        baseline) == f"mmw2s compare '{baseline}' --w2s RUN_WITH_TEACHER"
    (run / EVENTS).touch()
    assert next_command(
        baseline) == f"mmw2s compare '{baseline}' --w2s '{run}'"
