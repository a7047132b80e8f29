# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Options that the commands about runs have in common."""
from argparse import ArgumentParser, _ArgumentGroup
from typing import Dict, List, Optional, Union

__all__ = ['add_metric_options', 'add_target_option', 'by_setting']

_Parser = Union[ArgumentParser, _ArgumentGroup]


def add_metric_options(parser: _Parser) -> None:
    """Add ``--metric`` and ``--rule``, as :func:`mmw2s.analysis.compare` has
    them."""
    parser.add_argument('--metric', help='e.g. coco/bbox_mAP')
    parser.add_argument(
        '--rule', choices=['greater', 'less'], help='which side is better')


def add_target_option(parser: _Parser) -> None:
    """Add ``--target``, as :func:`mmw2s.analysis.compare` has it."""
    parser.add_argument(
        '--target',
        nargs='+',
        help="values as 0.3, or shares as 90%% of the baselines' best "
        '(median over seeds); default: 80%% 90%% 95%%')


def named_settings(given: List[List[str]]) -> Dict[str, List[str]]:
    """What ``--setting NAME DIR...`` gives: name -> the work_dirs.

    Args:
        given (list[list[str]]): A name, and work_dirs, for each time that the
            option is given.

    Raises:
        ValueError: If a setting names no run, or is given twice.
    """
    found: Dict[str, List[str]] = {}
    for name, *runs in given:
        if not runs:
            raise ValueError(f'--setting "{name}" names no run')
        if name in found:
            raise ValueError(f'--setting "{name}" is given twice: name all '
                             'of its runs at once')
        found[name] = runs
    return found


def by_setting(given: List[List[str]],
               option: str) -> Dict[Optional[str], str]:
    """What is given for each setting; for all others under None.

    Args:
        given (list[list[str]]): A value, and the names of settings, for each
            time that the option is given.
        option (str): Its name, for messages.

    Raises:
        ValueError: If a setting is given two values.
    """
    found: Dict[Optional[str], str] = {}
    for value, *names in given:
        for name in names or [None]:
            if name in found:
                raise ValueError(f'{option} is given twice for ' +
                                 (f'"{name}"' if name else 'all settings'))
            found[name] = value
    return found
