# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.report.groups import group_by_name, runs_below


def grouped(folders):
    return {
        group.name: [run.name for run in group.runs]
        for group in group_by_name(folders)[0]
    }


def test_runs_whose_names_differ_by_a_seed_are_one_setting(write_run):
    names = ['base_s0', 'base_s1', 'w2s-seed_0', 'w2s-seed_1', 's0_started']
    folders = [write_run(name, [.1]) for name in names]
    assert grouped(folders) == {
        'base': ['base_s0', 'base_s1'],
        'w2s': ['w2s-seed_0', 'w2s-seed_1'],
        'started': ['s0_started']
    }


def test_a_seed_alone_takes_the_name_of_the_folder_above(write_run):
    folders = [write_run(f'study/{a}/seed_0', [.1]) for a in ('both', 'start')]
    assert grouped(folders) == {
        'both': ['both/seed_0'],
        'start': ['start/seed_0']
    }


def test_runs_of_one_name_in_different_folders_are_different_settings(
        write_run):
    names = ['a/base_s0', 'a/base_s1', 'b/base_s0', 'b/base_s1', 'b/w2s_s0']
    folders = [write_run(name, [.1]) for name in names]
    assert grouped(folders) == {
        'a/base': ['base_s0', 'base_s1'],
        'b/base': ['base_s0', 'base_s1'],
        'w2s': ['w2s_s0']
    }
    problem, = group_by_name(folders)[1]
    assert 'a/base, b/base are taken for different settings' in problem
    folders = [
        write_run(f'{study}/both/seed_{seed}', [.1], seed=seed)
        for study in ('one', 'two') for seed in range(2)
    ]
    assert list(grouped(folders)) == ['one/both', 'two/both']


@pytest.mark.parametrize('names', [
    ('seed_0/base', 'seed_1/base'),
    ('first/base_s0', 'second/base_s1'),
])
def test_seeds_of_one_setting_may_be_in_different_folders(write_run, names):
    folders = [write_run(name, [.1]) for name in names]
    assert list(grouped(folders)) == ['base']


def test_a_digit_that_is_no_seed_stays(write_run):
    folders = [write_run(name, [.1]) for name in ('r50', 'r18', 'class2')]
    assert list(grouped(folders)) == ['r50', 'r18', 'class2']


@pytest.mark.parametrize('names, baseline', [
    (('w2s_s0', 'plain_s0'), 'plain'),
    (('w2s_s0', 'ema_s0', 'my_baseline_s0'), 'my_baseline'),
    (('w2s_s0', 'student_s0_baseline'), 'student_baseline'),
])
def test_the_baseline_is_found(write_run, names, baseline):
    folders = [
        write_run(name, [.1], teacher=.4 if name == 'w2s_s0' else None)
        for name in names
    ]
    first, *others = group_by_name(folders)[0]
    assert first.name == baseline and first.is_baseline
    assert not any(group.is_baseline for group in others)


@pytest.mark.parametrize('teacher', [None, .4])
def test_there_may_be_no_baseline(write_run, teacher):
    folders = [write_run(n, [.1], teacher=teacher) for n in ('a', 'b')]
    assert not any(g.is_baseline for g in group_by_name(folders)[0])


def test_a_run_called_teacher_is_counted_and_not_drawn_as_a_setting(folders):
    groups, _ = group_by_name(folders)
    assert [group.name for group in groups] == ['base', 'w2s']
    assert groups[0].teacher is None and groups[1].teacher.name == 'teacher'


def test_the_training_of_a_studys_teacher_is_counted_too(write_run):
    folders = [
        write_run('study/baseline/seed_0', [.1]),
        write_run('study/both/seed_0', [.1], teacher=.4),
        write_run('study/teacher_training', [.4])
    ]
    groups, _ = group_by_name(folders)
    assert [group.name for group in groups] == ['baseline', 'both']
    assert groups[1].teacher.name == 'teacher_training'


def test_a_teacher_of_nobody_is_a_setting(write_run):
    assert list(grouped([write_run('teacher', [.1])])) == ['teacher']


def test_a_damaged_run_is_left_out_and_named(write_run, tmp_path):
    folders = [write_run('a', [.1]), write_run('b', [.1])]
    (tmp_path / 'b' / 'time_to_target.json').write_text('{"history": [')
    groups, problems = group_by_name(folders)
    assert [group.name for group in groups] == ['a']
    assert len(problems) == 1 and 'b/time_to_target.json' in problems[0]
    with pytest.raises(FileNotFoundError, match='b/time_to_target.json'):
        group_by_name(folders[1:])


def test_runs_are_found_below_a_folder_and_not_inside_of_runs(
        write_run, tmp_path):
    write_run('study/a/seed_0', [.1])
    write_run('study/a/seed_0/inner', [.1])
    write_run('study/b', [.1])
    found = runs_below(str(tmp_path / 'study'))
    assert [x[len(str(tmp_path)):] for x in found] == \
        ['/study/a/seed_0', '/study/b']
