#!/usr/bin/env python
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Print what a bug report needs: the machine, and the packages."""
import argparse
from typing import Optional, Sequence

from mmw2s.collect_env import collect_env


def main(argv: Optional[Sequence[str]] = None) -> None:
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    for title, value in collect_env().items():
        print(f'{title}: {value}')


if __name__ == '__main__':
    main()
