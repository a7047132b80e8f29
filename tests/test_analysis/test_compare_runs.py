# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.analysis import Run, compare

SLOW = [.1, .2, .3, .4, .5]
FAST = [.3, .4, .5, .5, .5]


def test_targets_default_to_shares_of_the_median_best(write_run):
    base = [
        write_run(f'b{i}', [.1, best]) for i, best in enumerate([.4, .5, .9])
    ]
    result = compare(base, [write_run('w', FAST)])
    assert [t.value for t in result.targets] == pytest.approx([.4, .45, .475])
    assert '80% of baseline' in result.targets[0].label
    assert any('known after the runs' in note for note in result.notes)


def test_shares_and_values_mix_and_are_ordered(write_run):
    result = compare([write_run('b', SLOW)], [write_run('w', FAST)],
                     targets=['90%', .2, '0.3'])
    assert [t.value for t in result.targets] == [.2, .3, .45]
    assert not any('known after' in note for note in result.notes)


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


def test_runs_that_were_validated_more_seldom_are_noted(write_run):
    base = write_run('b', SLOW)
    result = compare([base], [write_run('w', FAST)])
    assert not any('validated' in note for note in result.notes)
    result.w2s.runs[0].history = result.w2s.runs[0].history[1::2]
    noted, = (
        note for note in compare(result.baseline.runs, result.w2s.runs).notes
        if 'validated' in note)
    assert 'b 4 times in 4 epochs, w 2 times' in noted
    # A batch of another size is no other interval.
    larger = write_run('l', FAST, iters=50)
    assert not any('validated' in note
                   for note in compare([base], [larger]).notes)
    # One that was shorter was validated as often.
    shorter = write_run('v', FAST[:3])
    assert not any('validated' in note
                   for note in compare([base], [shorter]).notes)


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


def test_a_part_of_an_iteration_more_in_an_epoch_is_not_noted(write_run):
    base = write_run('b', SLOW, iters_per_epoch=390)
    result = compare([base], [write_run('w', FAST, iters_per_epoch=390.625)])
    assert not any('iters_per_epoch' in note for note in result.notes)


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


def test_other_evaluators_are_noted(write_run):
    """Two of them give 0.663 and 1.0 for the same boxes."""
    kinds = ['mmdet.CocoMetric'], ['mmdet.FasterCocoMetric']
    base, w2s = (write_run(name, scores, evaluators=kind)
                 for name, scores, kind in zip('bw', (SLOW, FAST), kinds))
    assert any('differ in evaluator' in note and str(kinds[1]) in note
               for note in compare([base], [w2s]).notes)
    same = write_run('v', FAST, evaluators=kinds[0])
    assert not any('evaluator' in note
                   for note in compare([base], [same]).notes)


def test_of_several_metrics_the_main_one_is_compared(write_run):
    runs = [Run.load(write_run(name, SLOW)) for name in 'bw']
    for run in runs:
        for row in run.history:
            row['metrics'] = {'accuracy/top5': 90., 'accuracy/top1': 60.}
    assert compare(runs[:1], runs[1:]).metric == 'accuracy/top1'


def test_a_target_in_percent_is_noted(write_run):
    result = compare([write_run('b', SLOW)], [write_run('w', FAST)],
                     targets=[30])
    assert any('A target is 30, but coco/bbox_mAP is from 0' in note
               and note.endswith('meant?') for note in result.notes)
