# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Options that the commands about runs have in common."""
from argparse import ArgumentParser, _ArgumentGroup
from typing import Union

__all__ = ['add_metric_options', 'add_target_option']

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
