# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.analysis import compare
from mmw2s.analysis.counted import counted_table
from mmw2s.analysis.report import to_dict, to_markdown

SLOW = [.1, .2, .3, .4, .5]
FAST = [.4, .5, .5]


@pytest.fixture
def result(write_run):
    """Epochs of 12 s of wall clock; a teacher of 18 s; a spread of 0.02."""
    base = [
        write_run(f'b{i}', SLOW[:4] + [best])
        for i, best in enumerate([.49, .5, .51])
    ]
    w2s = [
        write_run('w0', FAST, teacher=.3, stop_epoch=1),
        write_run('w1', FAST, teacher=.3, stop_epoch=1),
        write_run('w2', [.1, .2, .4], teacher=.3, stop_epoch=1)
    ]
    return compare(base, w2s, write_run('t', [.2, .3], seconds=7.), [.4])


def test_the_final_quality_is_the_best_less_the_spread(result):
    assert result.final_quality.value == pytest.approx(.48)
    assert result.final_quality.label == '0.48 (final quality)'


def test_it_is_more_where_less_is_better(write_run):
    base = [write_run(f'b{i}', [2. + i], metric='loss') for i in range(3)]
    result = compare(base, [write_run('w', [2.], metric='loss')])
    assert result.final_quality.value == 5.


def test_every_target_has_a_row_for_each_side(result):
    table = counted_table({'started': result})
    assert table.title == \
        "Cost in wall clock, and with the teacher's own training added"
    assert table.rows == [
        ['0.4', 'baseline', '3 of 3', '48.0', '', '', '', '80%'],
        ['0.4', 'started', '3 of 3', '12.0', '4.00x', '30.0', '1.60x', '50%'],
        [
            '0.48 (final quality)', 'baseline', '3 of 3', '60.0', '', '', '',
            '100%'
        ],
        [
            '0.48 (final quality)', 'started', '2 of 3', '24.0', '2.50x',
            '42.0', '1.43x', '70%'
        ],
    ]


def test_what_most_runs_never_reached_is_said(write_run):
    result = compare([write_run('b', SLOW)],
                     [write_run('w', [.1, .2], teacher=.3)],
                     write_run('t', [.3]), [.4])
    row = counted_table({'w2s': result}).rows[-1]
    assert row[2:4] == ['0 of 1', 'not reached']
    assert row[-3:] == ['not reached', '< 1.67x', '-']
    said, = (line for line in result.verdict() if 'Final quality' in line)
    assert 'reached by 0 of 1 weak-to-strong run.' in said
    content = to_dict(result)['final_quality']
    assert content['share']['w2s']['wall_seconds'] is None
    assert content['median_with_teacher']['wall_seconds'] is None


def test_a_teacher_whose_cost_is_not_known_is_not_passed_over(write_run):
    result = compare([write_run('b', SLOW)],
                     [write_run('w', FAST, teacher=.3)],
                     targets=[.4])
    table = counted_table({'w2s': result})
    assert table.title == 'Cost in wall clock'
    assert table.rows[1] == [
        '0.4', 'w2s', '1 of 1', '12.0', '4.00x', '20% + teacher'
    ]
    assert any('not counted' in note for note in result.notes)


def test_runs_that_tell_no_time_are_compared_by_epochs(write_run):
    result = compare([write_run('b', SLOW)], [write_run('w', FAST)],
                     targets=[.4])
    for run in result.runs:
        for row in run.history:
            row.update(train_seconds=None, wall_seconds=None)
    table = counted_table({'w2s': result})
    assert table.title == 'Cost in epochs'
    assert table.rows[1][3:] == ['1', '4.00x', '20%']


def test_report_and_verdict_have_the_shares(result):
    said, = (line for line in result.verdict() if 'Final quality' in line)
    assert ('reached by 2 of 3 weak-to-strong runs, after 40% of the '
            "baseline's whole wall clock, 70% with the teacher's own training "
            'added.') in said
    assert '| 0.48 (final quality) | w2s | 2 of 3 |' in to_markdown(result)
    content = to_dict(result)
    final = content['final_quality']
    assert final['share']['w2s']['wall_seconds'] == pytest.approx(.4)
    assert final['share_with_teacher']['wall_seconds'] == pytest.approx(.7)
    assert final['median_with_teacher']['wall_seconds'] == 42
    assert final['speedup_with_teacher']['wall_seconds']['text'] == '1.43x'
    assert content['head_room']['value'] == pytest.approx(30 / 14)
