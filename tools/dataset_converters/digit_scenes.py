# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Write the scenes of handwritten digits that the quick start trains on."""
import argparse

from mmw2s.datasets.converters import write_digit_scenes


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        'root', nargs='?', default='data/digit_scenes', help='the folder')
    parser.add_argument(
        '--num-train', type=int, default=1200, help='training scenes')
    parser.add_argument(
        '--num-val', type=int, default=200, help='validation scenes')
    parser.add_argument(
        '--size', type=int, default=128, help='side of a scene in pixels')
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    print('Digit scenes are in', write_digit_scenes(**vars(args)))


if __name__ == '__main__':
    main()
