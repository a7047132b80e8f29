# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import re
import sys
from pathlib import Path

import pytest

from mmw2s.utils.tool_errors import errors_in_one_line, fail

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize('error, line', [
    (KeyError('no Nix in the\nregistry'), 'no Nix in the\nregistry'),
    (TypeError('no field x'), 'no field x'),
    (TypeError('no field x in <a.hook.Hook object at 0x7f91>'), 'no field x'),
    (FileNotFoundError(2, 'No such file', 't.pth'), r".*'t\.pth'"),
])
def test_what_is_wrong_with_a_config_is_one_line(error, line):
    with pytest.raises(SystemExit, match=f'^tool.py: error: {line}$'):
        with errors_in_one_line('tool.py'):
            raise error


def test_a_subcommand_is_named_instead_of_its_script(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['mmw2s train', 'x.py'])
    with pytest.raises(SystemExit, match='^mmw2s train: error: why$'):
        fail('train.py', 'why')


def test_an_error_of_the_program_keeps_its_traceback():
    with pytest.raises(RuntimeError):
        with errors_in_one_line('tool.py'):
            raise RuntimeError
    with pytest.raises(SystemExit, match='^tool.py: error: no network$'):
        with errors_in_one_line('tool.py', RuntimeError):
            raise RuntimeError('no network')


def test_an_interrupt_is_130():
    with pytest.raises(SystemExit) as left:
        with errors_in_one_line('tool.py'):
            raise KeyboardInterrupt
    assert left.value.code == 130


@pytest.mark.skipif(
    not (ROOT / 'setup.py').is_file(), reason='a checkout is needed')
def test_no_tool_writes_an_error_exit_of_its_own():
    scripts = {*(ROOT / 'tools').rglob('*.py'), ROOT / 'mmw2s' / 'cli.py'}
    # It runs before mmw2s is installed.
    scripts.remove(ROOT / 'tools' / 'setup_env.py')
    assert ROOT / 'tools' / 'train.py' in scripts
    own = [
        path.name for path in scripts
        if re.search(': error:|raise SystemExit', path.read_text('utf-8'))
    ]
    assert own == []
