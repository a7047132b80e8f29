# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json
from functools import partial

import pytest
from matplotlib.axes import Axes

from mmw2s.analysis.pace import Pace
from mmw2s.analysis.settings import compare_settings, save
from mmw2s.analysis.strength_plot import plot_teacher_strength, teacher_share

SLOW = [.1, .2, .3, .4, .5]
FAST = [.3, .4, .5, .5, .5]


@pytest.fixture
def result(write_run):
    base = [write_run('b0', SLOW), write_run('b1', [0] + SLOW)]
    return compare_settings(
        base,
        dict(
            fast=[
                write_run('f0', FAST, teacher=.45, stop_epoch=2),
                write_run('f1', SLOW, teacher=.45, stop_epoch=4)
            ],
            useless=[write_run('u', [.1, .2, .2], teacher=.1)]),
        targets=[.4])


def test_a_row_has_the_median_the_extremes_and_the_speedup(result):
    header, rows = result.table().header, result.table().rows
    assert header[3] == '0.4'
    assert [row[0] for row in rows] == ['baseline', 'fast', 'useless']
    assert [row[1] for row in rows] == ['2', '2', '1']
    assert rows[0][3] == '4.5 (4-5)'
    assert rows[1][3] == '3 (2-4): 1.50x'


def test_a_target_that_a_setting_never_reaches_gives_a_bound(result):
    assert result.table().rows[2][3] == 'never: < 1.50x'


def test_a_row_says_how_strong_the_teacher_was_and_when_it_went(result):
    rows = result.table().rows
    assert [row[2] for row in rows] == ['', '0.90', '0.20']
    assert [row[-1] for row in rows] == ['', '3 (2-4)', 'never']


def test_the_way_can_be_counted_in_iterations(result):
    result.unit = 'iter'
    per_epoch = result.first.baseline.runs[0].history[0]['iter']
    table = result.table()
    assert table.title == 'Iterations to targets of coco/bbox_mAP'
    assert table.rows[1][3] == \
        f'{3 * per_epoch} ({2 * per_epoch}-{4 * per_epoch}): 1.50x'


def test_a_row_has_the_best_and_the_last_score(result):
    assert [row[-3:-1] for row in result.table().rows] == [['0.5', '0.5'],
                                                           ['0.5', '0.5'],
                                                           ['0.2', '0.2']]


def test_the_last_score_says_of_how_many_runs_it_is(write_run):
    runs = [write_run(f'w{i}', [.4, end]) for i, end in enumerate([.5, None])]
    result = compare_settings([write_run('b', [.1, .5])], {'s': runs})
    assert result.table().rows[1][-2] == '0.5 (1 of 2 runs)'


def test_a_weak_teacher_has_a_share_below_one_where_less_is_better(write_run):
    result = compare_settings(
        [write_run('b', [3., 2.], metric='loss')],
        {'s': [write_run('w', [2., 2.], metric='loss', teacher=4.)]})
    assert teacher_share(result.comparisons['s']) == .5


def test_the_table_is_saved_with_all_numbers_behind_it(result, tmp_path):
    save(result, str(tmp_path / 'out'), teacher_strength=True)
    text = (tmp_path / 'out' / 'settings.md').read_text()
    assert '| fast | 2 | 0.90 | 3 (2-4): 1.50x |' in text
    behind = json.loads((tmp_path / 'out' / 'settings.json').read_text())
    assert [run['name'] for run in behind['baselines']] == ['b0', 'b1']
    assert len(behind['settings']['fast']['w2s']) == 2
    assert 'baselines' not in behind['settings']['fast']
    assert (tmp_path / 'out' / 'teacher_strength.png').stat().st_size > 5000


def test_all_of_many_targets_are_drawn_each_in_its_own_way(
        write_run, tmp_path, monkeypatch):
    drawn = []
    plot = Axes.plot

    def spy(self, *args, **kwargs):
        drawn.append((kwargs['color'], kwargs['marker']))
        return plot(self, *args, **kwargs)

    monkeypatch.setattr(Axes, 'plot', spy)
    targets = [.05, .1, .15, .2, .25, .3, .35]
    result = compare_settings([write_run('b', SLOW)],
                              {'s': [write_run('w', FAST, teacher=.4)]},
                              targets=targets)
    plot_teacher_strength(result, str(tmp_path / 'x.png'))
    assert len(set(drawn)) == len(drawn) == 7


def test_shorter_schedules_can_be_settings(write_run):
    result = compare_settings([write_run('b', SLOW, max_iters=500)],
                              {'s': [write_run('w', FAST, max_iters=300)]})
    assert result.table().rows[1][0] == 's'


def test_a_note_says_whose_it_is_unless_it_holds_for_all(write_run):
    lines = compare_settings(
        [write_run('b', SLOW)], {
            'with | bar': [write_run('w', FAST, teacher=.4, finished=False)],
            'other': [write_run('v', FAST, teacher=.4)]
        },
        targets=[.4]).to_markdown().splitlines()
    assert '- with | bar: w has not finished.' in lines
    assert '- 1 seed a side: this says little about the spread.' in lines
    assert any(line.startswith('| with \\| bar | 1 |') for line in lines)


def test_without_a_teachers_score_there_is_nothing_to_draw(
        write_run, tmp_path):
    result = compare_settings([write_run('b', SLOW)],
                              {'s': [write_run('w', FAST)]})
    with pytest.raises(ValueError, match='score'):
        plot_teacher_strength(result, str(tmp_path / 'x.png'))


def test_no_setting_is_refused(write_run):
    with pytest.raises(ValueError, match='at least one setting'):
        compare_settings([write_run('b', SLOW)], {})


class TestTeachers:
    """A setting with a teacher on record, and one without."""

    @pytest.fixture
    def settings(self, write_run):
        return dict(
            started=[write_run('w', FAST, teacher=.3, stop_epoch=1)],
            averaged=[write_run('e', FAST)])

    @pytest.fixture
    def call(self, write_run, settings):
        return partial(
            compare_settings, [write_run('b', SLOW)], settings, targets=[.4])

    def test_one_for_all_is_counted_where_a_teacher_is_on_record(
            self, call, write_run):
        result = call(teacher=write_run('t', [.3]))
        names = {n: c.teacher for n, c in result.comparisons.items()}
        assert names['started'].name == 't' and names['averaged'] is None
        cells = [row[5] for row in result.counted_table().rows[:3]]
        assert cells == ['', '36.0', '']

    def test_each_setting_may_have_its_own(self, call, write_run):
        result = call(teacher={
            'averaged': write_run('t2', [.3, .3]),
            None: write_run('t1', [.3])
        })
        assert [c.teacher.name
                for c in result.comparisons.values()] == ['t1', 't2']

    def test_one_that_belongs_to_no_setting_is_refused(self, call, write_run,
                                                       settings):
        teacher = write_run('t', [.3])
        with pytest.raises(ValueError, match='"begun".*started, averaged'):
            call(teacher=dict(begun=teacher))
        del settings['started']
        with pytest.raises(ValueError, match='no setting has a teacher on'):
            call(teacher=teacher)

    def test_paces_share_the_baseline_of_the_first(self, call):
        paces = dict(
            started=Pace(100., 2., 1., .5, 'a.json'),
            averaged=Pace(400., 3., 1., .5, 'b.json'))
        result = call(pace=paces)
        began, averaged = (
            c.w2s.runs[0].history[1]['train_seconds']
            for c in result.comparisons.values())
        assert (began, averaged) == (30., 20.)  # 100 on, 100 off; and 200
        assert result.first.baseline.runs[0].history[0]['train_seconds'] == 10.

    def test_a_setting_without_a_pace_is_refused(self, call):
        pace = Pace(100., 2., 1., .5, 'a.json')
        with pytest.raises(ValueError, match='a pace for "averaged" too'):
            call(pace=dict(started=pace))
        assert len(call(pace={None: pace}).comparisons) == 2

    def test_the_page_has_costs_and_head_room(self, call, write_run, tmp_path):
        result = call(teacher=write_run('t', [.2, .3]))
        save(result, str(tmp_path / 'out'), curves=True)
        text = (tmp_path / 'out' / 'settings.md').read_text()
        assert '- started: Head-room: 1.50.' in text
        assert '| 0.4 | started | 1 of 1 | 24.0 | 2.00x |' in text
        assert (tmp_path / 'out' / 'curves.png').stat().st_size > 5000
        behind = json.loads((tmp_path / 'out' / 'settings.json').read_text())
        assert behind['settings']['started']['head_room']['value'] == 1.5
