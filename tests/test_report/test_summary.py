# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from mmw2s.report import gather, make_report
from mmw2s.report.summary import summary, values


def test_a_row_of_the_summary_has_cost_gain_and_quality(report):
    found = summary(report)
    base, taught = found.rows
    assert str(base[3]) == '4' and str(taught[3]) == '2: 2.00×, counted 1.26×'
    assert [str(cell) for cell in taught][-3:] == ['0.49', '0.49', '3 (2–4)']
    assert found.header[-1] == 'distilled until'


def test_the_last_score_says_of_how_many_runs_it_is(write_run):
    runs = [
        write_run(f'base_s{i}', [.4, end], seed=i)
        for i, end in enumerate([.5, None])
    ]
    row, = summary(make_report(gather(runs))).rows
    assert str(row[-1]) == '0.5: 1 of 2 runs'


def test_the_values_of_the_curves_can_be_read(report):
    table = values(report)
    assert table.header == ['epoch', 'base', 'w2s']
    assert table.rows[1] == ['2', '0.2', '0.4']
