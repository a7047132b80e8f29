# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Write BCCD (blood cells), which comes in Pascal VOC's format, in COCO's."""
import argparse

from mmw2s.datasets.converters import write_bccd


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        'source',
        help='a checkout of https://github.com/Shenggan/BCCD_Dataset')
    parser.add_argument(
        'root', nargs='?', default='data/bccd', help='the folder to write')
    return parser.parse_args()


def main() -> None:
    try:
        print('BCCD is in', write_bccd(**vars(parse_args())))
    except (OSError, ValueError) as error:
        raise SystemExit(f'bccd.py: error: {error}')


if __name__ == '__main__':
    main()
