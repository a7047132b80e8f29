# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json

import pytest

from mmw2s.analysis import Pace, Run, compare
from mmw2s.analysis.report import to_dict
from mmw2s.profiling.step_cost import (AGAIN, BASELINE, FLOOR, OFF, ON,
                                       TEACHER, StepCost)

PACE = Pace(200., 1.5, 1.1, .4, 'pace.json')


def seconds(run) -> list:
    return [row['train_seconds'] for row in run.history]


@pytest.fixture
def written(tmp_path):
    """The file of a benchmark, with or without the teacher's training."""

    def write(*modes) -> str:
        ms = {BASELINE: 100., FLOOR: 110., ON: 120., AGAIN: 200., OFF: 210.}
        ms[TEACHER] = 50.
        ms = {mode: [ms[mode]] * 3 for mode in ms if mode in modes}
        cost = StepCost(ms, dict.fromkeys(ms, 0.), 1, 0, {})
        path = tmp_path / 'cost.json'
        path.write_text(cost.to_json())
        return str(path)

    return write


def test_the_file_of_a_benchmark_is_read(written):
    path = written(BASELINE, FLOOR, ON, AGAIN, OFF, TEACHER)
    assert Pace.load(path) == pytest.approx((100., 1.2, 1.05, .25, path))


def test_a_benchmark_without_the_teachers_training_counts_students(
        written, write_run):
    pace = Pace.load(written(BASELINE, FLOOR, ON, AGAIN, OFF))
    assert pace.teacher is None
    assert seconds(pace.of_student(Run.load(write_run('b', [.1])))) == [10.]
    with pytest.raises(ValueError, match='--teacher-config'):
        pace.of_teacher(Run.load(write_run('t', [.1])))


@pytest.mark.parametrize('text', [
    '', '[]', '{}', '{"modes": {"baseline": {"median": 3}}, "ratios": {}}',
    '{"modes": 1, "ratios": {"a": 1}}'
])
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / 'x.json').write_text(text)
    with pytest.raises(ValueError, match='x.json holds no step times .*--out'):
        Pace.load(str(tmp_path / 'x.json'))


def test_a_step_costs_what_it_does_before_and_after_the_stop(write_run):
    """100 iterations an epoch, of 0.2 s: 20 s."""
    taught = dict(teacher=.3)
    runs = dict(
        plain=write_run('b', [.1] * 3),
        stopped=write_run('w', [.1] * 3, stop_epoch=2, **taught),
        kept=write_run('k', [.1] * 3, **taught),
        started=write_run('s', [.1] * 3, stop_epoch=0, **taught))
    found = {
        name: seconds(PACE.of_student(Run.load(path)))
        for name, path in runs.items()
    }
    assert found == dict(
        plain=pytest.approx([20, 40, 60]),
        stopped=pytest.approx([30, 60, 82]),
        kept=pytest.approx([30, 60, 90]),
        started=pytest.approx([22, 44, 66]))


def test_the_runs_own_clocks_are_not_looked_at(write_run):
    run = Run.load(write_run('b', [.1, .2], seconds=1e6))
    counted = PACE.of_teacher(run)
    assert seconds(counted) == pytest.approx([8, 16])
    assert not counted.knows('wall_seconds')
    assert seconds(run) == [1e6, 2e6]  # the run itself is left as it was


def test_a_comparison_counts_time_and_says_so(write_run):
    result = compare([write_run('b', [.1, .2, .4], seconds=1e6)],
                     [write_run('w', [.2, .4], teacher=.2, stop_epoch=1)],
                     write_run('t', [.1, .2], seconds=1e6),
                     targets=[.4],
                     pace=PACE)
    target, = result.targets
    assert result.clock_unit == 'train_seconds'
    assert result.teacher_cost('train_seconds') == pytest.approx(16)
    assert result.speedup(target,
                          'train_seconds').value == pytest.approx(60 / 52)
    assert result.speedup(target, 'train_seconds',
                          True).value == pytest.approx(60 / 68)
    note, = (note for note in result.notes if 'counted, not measured' in note)
    assert 'pace.json' in note and '1.500 times' in note
    assert not any('Not compared' in note for note in result.notes)


def test_the_numbers_of_a_counted_report_are_counted_ones(write_run):
    """So a report that is read back gives the same."""
    result = compare([write_run('b', [.1, .4])],
                     [write_run('w', [.4], teacher=.2)],
                     pace=PACE)
    content = json.loads(json.dumps(to_dict(result)))
    assert content['baselines'][0]['history'][1]['train_seconds'] == 40
