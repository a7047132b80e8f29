# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import math

import pytest

from mmw2s.analysis import compare

# The hand-made runs spend 10 s of training and 2 s of validation an epoch.
SLOW = [.1, .2, .3, .4, .5]
FAST = [.3, .4, .5, .5, .5]


def test_the_speedup_is_the_ratio_of_the_medians(write_run):
    base = [
        write_run(f'b{i}', scores)
        for i, scores in enumerate([SLOW, [0] + SLOW, [0, 0] + SLOW])
    ]  # 0.4 at epoch 4, 5, 6
    w2s = [
        write_run(f'w{i}', scores, seconds=14.)
        for i, scores in enumerate([FAST, FAST, SLOW])
    ]  # 0.4 at epoch 2, 2, 4; 16 s an epoch
    result = compare(base, w2s, targets=[.4])
    target, = result.targets
    assert result.baseline.costs(target.value, 'epoch') == [4, 5, 6]
    assert result.w2s.costs(target.value, 'epoch') == [2, 2, 4]
    assert result.w2s.costs(target.value, 'wall_seconds') == [32, 32, 64]
    assert result.speedup(target, 'epoch') == (2.5, '')
    assert result.speedup(target, 'iter') == (2.5, '')
    assert result.speedup(target, 'train_seconds') == (50 / 28, '')
    assert result.speedup(target, 'wall_seconds') == (60 / 32, '')
    assert str(result.speedup(target, 'epoch')) == '2.50x'


def test_device_hours_count_all_devices(write_run):
    result = compare([write_run('b', SLOW)],
                     [write_run('w', FAST, world_size=4)],
                     targets=[.4])
    assert result.speedup(result.targets[0], 'wall_seconds').value == 2
    assert result.speedup(result.targets[0], 'device_hours').value == \
        pytest.approx(.5)
    assert any('number of devices' in note for note in result.notes)


def test_the_teachers_training_is_added_to_time_and_only_to_time(write_run):
    teacher = write_run('t', [.1, .2], seconds=4.)  # 12 s with validation
    result = compare([write_run('b', SLOW)], [write_run('w', FAST)], teacher,
                     [.4])
    target, = result.targets
    assert result.speedup(target, 'wall_seconds', True) == (48 / 36, '')
    assert result.speedup(target, 'train_seconds', True) == (40 / 28, '')
    assert result.speedup(target, 'epoch', True) == \
        result.speedup(target, 'epoch') == (2, '')


def test_a_baseline_that_never_got_there_gives_a_lower_bound(write_run):
    result = compare([write_run('b', SLOW)], [write_run('w', [.3, .6])],
                     targets=[.6])
    speedup = result.speedup(result.targets[0], 'epoch')
    assert speedup == (2.5, '>') and str(speedup) == '> 2.50x'
    assert speedup.is_faster
    value = result.targets[0].value
    assert result.baseline.costs(value, 'epoch') == [math.inf]


def test_a_lower_bound_below_one_is_no_gain(write_run):
    result = compare([write_run('b', [.1, .2])],
                     [write_run('w', [.1, .2, .3, .4])],
                     targets=[.4])
    speedup = result.speedup(result.targets[0], 'epoch')
    assert speedup == (.5, '>') and not speedup.is_faster


def test_a_student_that_never_got_there_gives_an_upper_bound(write_run):
    result = compare([write_run('b', SLOW)], [write_run('w', [.1] * 8)],
                     targets=[.4])
    speedup = result.speedup(result.targets[0], 'epoch')
    assert speedup == (.5, '<') and str(speedup) == '< 0.50x'
    assert not speedup.is_faster
    assert result.verdict()[0] == 'No speed-up was measured.'


def test_a_target_nobody_reached_is_kept_and_said(write_run):
    result = compare([write_run('b', SLOW)], [write_run('w', FAST)],
                     targets=[.4, .9])
    assert [t.value for t in result.targets] == [.4, .9]
    speedup = result.speedup(result.targets[1], 'epoch')
    assert speedup.value is None and str(speedup) == 'neither reached'
    assert 'sooner at 1 of 2 targets' in result.verdict()[0]


@pytest.mark.parametrize('reaching, known', [(3, True), (2, True), (1, False),
                                             (0, False)])
def test_a_median_of_three_is_known_when_two_got_there(write_run, reaching,
                                                       known):
    base = [
        write_run(f'b{i}', SLOW if i < reaching else [.1] * 5)
        for i in range(3)
    ]
    result = compare(base, [write_run('w', FAST)], targets=[.5])
    speedup = result.speedup(result.targets[0], 'epoch')
    assert speedup == (5 / 3, '' if known else '>')


def test_a_median_of_two_is_unknown_when_one_did_not_get_there(write_run):
    base = [write_run('b0', SLOW), write_run('b1', [.1] * 7)]
    result = compare(base, [write_run('w', FAST)], targets=[.5])
    # at least 5 and 7 epochs, so at least 6 in the median
    assert result.speedup(result.targets[0], 'epoch') == (6 / 3, '>')


def test_where_less_is_better_everything_turns_round(write_run):
    base = write_run('b', [90, 70, 50, 40], metric='FID')
    w2s = write_run('w', [60, 30, 30, 30], metric='FID')
    with pytest.raises(ValueError, match='give rule='):
        compare([base], [w2s])
    result = compare([base], [w2s], rule='less', targets=['80%', 60])
    assert [t.value for t in result.targets] == [60, 50]  # easy ones first
    assert result.speedup(result.targets[0], 'epoch') == (3, '')
    assert result.speedup(result.targets[1], 'epoch') == (1.5, '')
    assert 'lower' not in result.verdict()[-1]


def test_a_lower_final_quality_is_said(write_run):
    result = compare([write_run('b', SLOW)], [write_run('w', [.4, .4])],
                     targets=[.4])
    assert result.verdict()[-1].endswith('the final quality is lower.')
    unfinished = write_run('u', [.4, .4], finished=False)
    result = compare([write_run('c', SLOW)], [unfinished], targets=[.4])
    assert result.verdict()[-1].endswith('weak-to-strong 0.4.')


def test_fewer_epochs_that_save_no_time_are_called_so(write_run):
    result = compare([write_run('b', SLOW)],
                     [write_run('w', FAST, seconds=40.)],
                     targets=[.4])
    assert result.verdict()[0] == \
        'Fewer epochs were needed, but no time was saved.'


def test_epochs_without_detections_are_no_error(write_run):
    result = compare([write_run('b', [None, None] + SLOW)],
                     [write_run('w', [None] + FAST)],
                     targets=[.4])
    assert result.speedup(result.targets[0], 'epoch') == (2, '')


def test_a_run_that_never_detected_anything_stays_in(write_run):
    result = compare([write_run('b', SLOW)], [write_run('w', [None] * 10)],
                     targets=[.4])
    assert result.speedup(result.targets[0], 'epoch') == (.4, '<')


def test_the_teachers_score_is_the_one_its_students_measured(write_run):
    base, teacher = write_run('b', SLOW), write_run('t', [.2, .35])
    assert compare([base], [write_run('w', FAST, teacher=.33)],
                   teacher).teacher_score() == .33
    plain = write_run('p', FAST)
    assert compare([base], [plain], teacher).teacher_score() == .35
    assert compare([base], [plain]).teacher_score() is None


@pytest.mark.parametrize('score, verdict', [(.3, 'too weak'), (.45, 'useful'),
                                            (.6, 'too strong')])
def test_the_teacher_is_judged_against_the_baselines_best(
        write_run, score, verdict):
    result = compare([write_run('b', SLOW)],
                     [write_run('w', FAST, teacher=score)])
    assert result.judge_teacher() == (score / .5, verdict)
    said, = (line for line in result.verdict() if line.startswith('Teacher'))
    assert f'{score:.4g}' in said and verdict in said and 'best of 0.5' in said


def test_without_a_teachers_score_nothing_is_said_of_it(write_run):
    result = compare([write_run('b', SLOW)], [write_run('w', FAST)])
    assert result.judge_teacher() is None
    assert not any('Teacher' in line for line in result.verdict())
