# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The command ``mmw2s``: every tool, from a checkout and from a wheel."""
import argparse
import ast
import difflib
import importlib.util
import os.path as osp
import sys
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence

from .configs_path import tools_root
from .utils.tool_errors import fail
from .version import __version__

__all__ = ['main', 'tools_root']


class Command(NamedTuple):
    """A subcommand.

    Attributes:
        path (str): Its script, below ``tools/``.
        options (tuple[str]): What it is always given.
    """
    path: str
    options: tuple = ()


COMMANDS = {
    'train': Command('train.py'),
    'dry-run': Command('train.py', ('--dry-run', )),
    'pair': Command('train_pair.py'),
    'study': Command('run_study.py'),
    'test': Command('test.py'),
    'compare': Command('analysis_tools/compare_runs.py'),
    'compare-settings': Command('analysis_tools/compare_settings.py'),
    'report': Command('analysis_tools/report.py'),
    'watch': Command('analysis_tools/watch.py'),
    'choose-teacher': Command('analysis_tools/choose_teacher.py'),
    'benchmark': Command('analysis_tools/benchmark.py'),
    'gradient-share': Command('analysis_tools/gradient_share.py'),
    'start-on-gpu': Command('analysis_tools/start_on_gpu.py'),
    'start-from': Command('model_converters/start_from.py'),
    'sample': Command('sample.py'),
    'fid-of-real-images': Command('analysis_tools/fid_of_real_images.py'),
    'prepare-bccd': Command('dataset_converters/bccd.py'),
    'prepare-cifar10': Command('dataset_converters/cifar10.py'),
    'prepare-digit-scenes': Command('dataset_converters/digit_scenes.py'),
    'env': Command('collect_env.py'),
}


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run a subcommand.

    Args:
        argv (Sequence[str], optional): Its name and its options. Defaults to
            None, the command line. Without any, the list is printed.

    Raises:
        SystemExit: If there is no such command, and as the tool raises it.
    """
    given: List[str] = list(sys.argv[1:] if argv is None else argv)
    name = given[0] if given else '--help'
    if name in ('-h', '--help', 'help'):
        print(_usage())
    elif name in ('-V', '--version'):
        print(__version__)
    elif name not in COMMANDS:
        known = difflib.get_close_matches(name, COMMANDS)
        hint = f'did you mean {" or ".join(known)}?' if known else \
            f'there are {", ".join(COMMANDS)}'
        parser = argparse.ArgumentParser('mmw2s', 'mmw2s COMMAND ...')
        parser.error(f'no command "{name}": {hint}')
    else:
        _run(name, given[1:])


def _run(name: str, options: Sequence[str]) -> None:
    """Call the ``main`` of a tool, under the name of the command."""
    command, kept = COMMANDS[name], sys.argv
    path = tools_root() / command.path
    if not path.is_file():
        fail(
            'mmw2s', f'{path} does not exist: install the wheel again, or the '
            'whole checkout by "pip install -e ."')
    spec = importlib.util.spec_from_file_location(path.stem, path)
    tool = importlib.util.module_from_spec(spec)
    # argparse takes the name of the program from there.
    sys.argv = [f'mmw2s {name}', *command.options, *options]
    try:
        spec.loader.exec_module(tool)
        tool.main()
    finally:
        sys.argv = kept


def _usage() -> str:
    lines = ['usage: mmw2s COMMAND ..., or python -m mmw2s COMMAND ...', '']
    width = max(map(len, COMMANDS))
    for name, command in COMMANDS.items():
        about = 'Show what a config does on one batch.' \
            if name == 'dry-run' else _about(tools_root() / command.path)
        lines.append(f'  {name:{width}}  {about}')
    lines += [
        '', 'mmw2s COMMAND --help tells the options of one. For a bug report: '
        'mmw2s env', f'The scripts are in {osp.join(tools_root(), "")}'
    ]
    return '\n'.join(lines)


def _about(path: Path) -> str:
    """The first line of a script's docstring, without running it."""
    if not path.is_file():
        return ''
    text = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8')))
    return (text or '').split('\n')[0]
