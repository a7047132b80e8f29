# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import re
import runpy
import sys

import pytest

from mmw2s.cli import COMMANDS, main, tools_root

METRIC = 'coco/bbox_mAP'


@pytest.fixture
def runs(tmp_path):
    """A baseline and a run that is twice as fast, as MMEngine logs them."""
    for name, scores in (('base', (.1, .2, .3, .4)), ('w2s', (.2, .4, .4,
                                                              .4))):
        folder = tmp_path / name / '20260101_000000' / 'vis_data'
        folder.mkdir(parents=True)
        (folder / 'scalars.json').write_text('\n'.join(
            f'{{"iter": {10 * i}, "epoch": {i}, "time": 1, "step": {10 * i}}}'
            f'\n{{"{METRIC}": {score}, "step": {i}}}'
            for i, score in enumerate(scores, 1)))
    return str(tmp_path / 'base'), str(tmp_path / 'w2s')


def test_without_arguments_all_commands_are_listed_with_what_they_do(capsys):
    main([])
    lines = capsys.readouterr().out.splitlines()
    for name in COMMANDS:
        line, = [x for x in lines if x.startswith(f'  {name} ')]
        assert re.search(rf'{name}  +\w+', line)


def test_every_tool_has_a_command():
    commands = {command.path for command in COMMANDS.values()}
    tools = {
        path.relative_to(tools_root()).as_posix()
        for path in tools_root().rglob('*.py')
    }
    # The others are parts of the scripts of the same names.
    assert tools - commands == {'quickstart.py', 'setup_env.py'}


def test_an_unknown_command_is_refused_with_the_nearest(capsys):
    with pytest.raises(SystemExit) as left:
        main(['comparing'])
    assert left.value.code == 2
    assert 'no command "comparing": did you mean compare' in \
        capsys.readouterr().err


def test_a_command_gets_its_options_and_gives_the_command_line_back(
        runs, capsys):
    before = list(sys.argv)
    main(['compare', runs[0], '--w2s', runs[1], '--target', '0.4'])
    assert sys.argv == before
    assert 'In epochs: sooner at 1 of 1 target (2.00x' in \
        capsys.readouterr().out


@pytest.mark.parametrize('name', sorted(COMMANDS))
def test_help_and_errors_name_the_command(name, capsys):
    with pytest.raises(SystemExit) as left:
        main([name, '--help'])
    assert left.value.code == 0
    assert f'usage: mmw2s {name}' in capsys.readouterr().out
    with pytest.raises(SystemExit) as left:
        main([name, '--no-such-option'])
    assert left.value.code == 2
    assert f'mmw2s {name}: error' in capsys.readouterr().err


@pytest.mark.parametrize('name, options', [
    ('compare', ['nowhere', '--w2s', 'nowhere']),
    ('compare-settings', ['nowhere', '--setting', 'a', 'nowhere']),
    ('report', ['nowhere']),
    ('choose-teacher', ['nowhere', '--student-best', '1']),
    ('train', ['nowhere.py']),
    ('pair', ['nowhere.py']),
    ('dry-run', ['nowhere.py']),
    ('test', ['nowhere.py', 'x.pth']),
    ('benchmark', ['nowhere.py']),
    ('sample', ['nowhere.py', 'x.pth']),
])
def test_what_is_not_there_is_told_in_a_line(name, options, tmp_path,
                                             monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=f'^mmw2s {name}: error: .*nowhere'):
        main([name, *options])


# In a process of its own, importing the package would take seconds.
@pytest.mark.filterwarnings('ignore:.*found in sys.modules')
@pytest.mark.parametrize('module, command',
                         [('mmw2s', ['compare']),
                          ('mmw2s.analysis.compare_runs', [])])
def test_python_m_runs_the_tool(module, command, runs, capsys, monkeypatch):
    monkeypatch.setattr(sys, 'argv',
                        ['-m', *command, runs[0], '--w2s', runs[1]])
    runpy.run_module(module, run_name='__main__', alter_sys=True)
    assert 'First at coco/bbox_mAP' in capsys.readouterr().out
