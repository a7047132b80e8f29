# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import math

import pytest

from mmw2s.analysis import Run, compare

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
    assert result.costs(target, 'baseline', 'epoch') == [4, 5, 6]
    assert result.costs(target, 'w2s', 'epoch') == [2, 2, 4]
    assert result.costs(target, 'w2s', 'wall_seconds') == [32, 32, 64]
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
    assert result.costs(result.targets[0], 'baseline', 'epoch') == [math.inf]


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


def test_targets_default_to_shares_of_the_median_best(write_run):
    base = [
        write_run(f'b{i}', [.1, best]) for i, best in enumerate([.4, .5, .9])
    ]
    result = compare(base, [write_run('w', FAST)])
    assert [t.value for t in result.targets] == pytest.approx([.4, .45, .475])
    assert '80% of baseline' in result.targets[0].label
    assert any('chosen after the runs' in note for note in result.notes)


def test_shares_and_values_mix_and_are_ordered(write_run):
    result = compare([write_run('b', SLOW)], [write_run('w', FAST)],
                     targets=['90%', .2, '0.3'])
    assert [t.value for t in result.targets] == [.2, .3, .45]
    assert not any('chosen after' in note for note in result.notes)


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


def test_differing_metrics_are_refused_with_those_there_are(write_run):
    base, w2s = write_run('b', SLOW), write_run('w', FAST, metric='acc')
    with pytest.raises(ValueError, match='w has no metric .*it has acc'):
        compare([base], [w2s], metric='coco/bbox_mAP')
    with pytest.raises(ValueError, match='name one: acc, coco/bbox_mAP'):
        compare([base], [w2s])


@pytest.mark.parametrize('target', ['high', '%', 'x%', 'nan', 'inf', 'nan%'])
def test_a_target_that_is_no_number_is_refused(write_run, target):
    with pytest.raises(ValueError, match='a number as 0.3 or a share as 90%'):
        compare([write_run('b', SLOW)], [write_run('w', FAST)],
                targets=[target])


def test_shares_of_a_baseline_that_learned_nothing_are_refused(write_run):
    with pytest.raises(ValueError, match='give targets as numbers'):
        compare([write_run('b', [0., 0.])], [write_run('w', FAST)])


def test_what_makes_runs_incomparable_is_noted(write_run):
    result = compare(
        [write_run('b', SLOW, omp_num_threads='1')],
        [write_run('w', FAST, omp_num_threads='2', finished=False)])
    assert any('OMP_NUM_THREADS' in note and '1 / 2' in note
               for note in result.notes)
    assert 'w has not finished.' in result.notes
    assert any(note.startswith('1 seed a side') for note in result.notes)


@pytest.mark.parametrize('fact, values', [
    ('max_iters', (300, 600)),
    ('iters_per_epoch', (100, 50)),
    ('precision', ('OptimWrapper', 'BF16OptimWrapper, torch.bfloat16')),
])
def test_runs_of_another_length_or_precision_are_noted(write_run, fact,
                                                       values):
    base = write_run('b', SLOW, **{fact: values[0]})
    result = compare([base], [write_run('w', FAST, **{fact: values[1]})])
    assert any(f'({fact}): {values[0]} / {values[1]}.' in note
               for note in result.notes)
    older = write_run('o', FAST)  # which does not tell it
    assert not any(fact in note for note in compare([base], [older]).notes)


def test_packages_that_earlier_records_do_not_name_make_no_difference():
    old, new, other = (
        Run('r', [dict(iter=1, metrics=dict(x=1.), wall_seconds=1.)],
            dict(versions=versions))
        for versions in (dict(torch='2.0'), dict(torch='2.0', diffusers='0.3'),
                         dict(torch='2.1', diffusers='0.3')))

    def notes(*sides):
        result = compare(*sides, targets=[1], metric='x', rule='greater')
        return [note for note in result.notes if 'versions' in note]

    assert notes([old], [new]) == notes([new], [old]) == []
    assert len(notes([old], [other])) == len(notes([other], [new])) == 1


def test_swapped_sides_are_refused(write_run):
    base, w2s = write_run('b', SLOW), write_run('w', FAST, teacher=.3)
    with pytest.raises(ValueError, match='baseline w .*swap the sides'):
        compare([w2s], [base])


def test_two_runs_with_a_teacher_are_compared_and_that_is_noted(write_run):
    runs = [[write_run(name, FAST, teacher=.3)] for name in ('v', 'w')]
    assert 'The baseline v had a teacher.' in compare(*runs).notes


def test_a_run_that_had_no_teacher_is_noted(write_run):
    result = compare([write_run('b', SLOW)],
                     [write_run('v', FAST),
                      write_run('w', FAST, teacher=.3)])
    assert [note for note in result.notes if 'record of a teacher' in note
            ] == ['v has no record of a teacher.']


def test_the_same_run_twice_is_refused(write_run):
    base, w2s = write_run('b', SLOW), write_run('w', FAST)
    for sides in (([base], [base]), ([base], [w2s, w2s + '/']),
                  ([base, base + '/time_to_target.json'], [w2s])):
        with pytest.raises(ValueError, match='given twice'):
            compare(*sides)


def test_equal_seeds_of_a_side_are_noted(write_run):
    result = compare([write_run('b', SLOW, seed=1)], [
        write_run(f'w{i}', FAST, seed=seed) for i, seed in enumerate([1, 2, 1])
    ])
    assert [note for note in result.notes
            if 'same seed' in note] == ['w0, w2 have the same seed, 1.']


def test_sides_of_other_seeds_are_noted(write_run):
    bases = [write_run(f'b{seed}', SLOW, seed=seed) for seed in range(2)]
    result = compare(bases, [write_run('w', FAST, seed=0)])
    assert 'The sides differ in their seeds: 0, 1 / 0.' in result.notes
    assert not any(
        'differ in their seeds' in note
        for note in compare(bases[:1], [write_run('v', FAST, seed=0)]).notes)


def test_different_teachers_are_noted(write_run):
    result = compare([write_run('b', SLOW)], [
        write_run('v', FAST, teacher=.3),
        write_run('w', FAST, teacher=.4, seed=1)
    ])
    assert any(
        'different teachers' in note and '(0.3)' in note and '(0.4)' in note
        for note in result.notes)


def test_a_run_that_lost_its_early_record_is_noted(write_run):
    result = compare([write_run('b', SLOW, recorded_from=600)],
                     [write_run('w', FAST)])
    assert any('b is on record from iteration 600 on only' in note
               for note in result.notes)


def test_what_the_teachers_times_mean_is_noted_too(write_run):
    result = compare([write_run('b', SLOW, omp_num_threads='1')],
                     [write_run('w', FAST, omp_num_threads='1')],
                     write_run(
                         't', [.3],
                         finished=False,
                         omp_num_threads='8',
                         max_iters=7))
    assert 't has not finished.' in result.notes
    assert any('1 / 8' in note for note in result.notes)
    assert not any('max_iters' in note for note in result.notes)


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
