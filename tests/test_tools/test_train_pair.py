# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import runpy
from types import SimpleNamespace

import pytest
from toys import run_config

from mmw2s.cli import main
from mmw2s.configs_path import tools_root
from mmw2s.engine.hooks.stop_on_signal_hook import RunEnded
from mmw2s.pair.estimate import Pace
from mmw2s.pair.options import Options
from mmw2s.pair.plan import prepare


@pytest.fixture(scope='module')
def tool():
    return runpy.run_path(str(tools_root() / 'train_pair.py'))


def test_the_folder_follows_from_the_students_name(tool):
    args = tool['parse_args'](['configs/my_student.py'])
    assert args.work_dir == 'work_dirs/my_student_pair'
    assert args.seeds == [0] and args.useful_at == .85


@pytest.mark.parametrize('given, message', [
    (['--launcher', 'slurm'], '--launcher slurm needs --partition'),
    (['--gpus', '4'], '--gpus 4 needs --launcher'),
])
def test_a_launcher_gets_what_it_needs(tool, given, message, capsys):
    with pytest.raises(SystemExit):
        tool['parse_args'](['s.py', *given])
    assert message in capsys.readouterr().err


def test_what_takes_longer_than_the_budget_is_not_begun(
        tool, monkeypatch, capsys):
    stages = [
        SimpleNamespace(name=name, work_dir=f'pair/{name}')
        for name in ('teacher', 'student_s0')
    ]
    paces = dict(
        teacher=Pace(.1, 300, 3., 10), student_s0=Pace(.2, 600, 3, 20))
    monkeypatch.setattr('mmw2s.pair.estimate.estimate',
                        lambda plan, processes: paces)
    plan = SimpleNamespace(stages=stages)
    assert tool['estimated'](plan, 4., 1) == dict(teacher=60., student_s0=180.)
    said = capsys.readouterr().out
    assert 'teacher: up to 60 s, 300 iterations of 100 ms and 10 val' in said
    assert 'In all: up to 4.0 min' in said
    with pytest.raises(
            ValueError, match='may take 4.0 min, but --budget is 3'):
        tool['estimated'](plan, 3., 1)


def test_a_pair_that_has_begun_is_not_asked_for_its_budget_again(
        pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_config(pictures, 'unused').dump('student.py')
    begun = []
    monkeypatch.setattr('mmw2s.pair.estimate.estimate', None)  # not called

    def run_pair(plan, launch, targets, expected):
        begun.append(expected)
        raise RunEnded(2)

    monkeypatch.setattr('mmw2s.pair.run_pair', run_pair)
    for budget in ([], ['--budget', '0.001']):
        with pytest.raises(SystemExit):
            main(['pair', 'student.py', '--work-dir', 'pair', *budget])
    assert begun == [None, None]


def test_a_dry_run_says_that_a_pair_has_begun(pictures, tmp_path, monkeypatch,
                                              capsys):
    monkeypatch.chdir(tmp_path)
    run_config(pictures, 'unused').dump('student.py')
    prepare(Options('student.py', 'pair'))
    main(['pair', 'student.py', '--dry-run', '--work-dir', 'pair'])
    assert 'pair has a pair already, which goes on as' in \
        capsys.readouterr().out


def test_a_dry_run_writes_nothing(pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_config(pictures, 'unused').dump('student.py')
    main(['pair', 'student.py', '--dry-run', '--work-dir', 'pair'])
    said = capsys.readouterr().out
    for text in ('Teacher: derived', 'The student starts by Grow',
                 'teacher: up to', 'student_s0: up to', 'In all: up to'):
        assert text in said
    assert [path.name for path in tmp_path.iterdir()] == ['student.py']
