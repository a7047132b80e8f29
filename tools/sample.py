# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Generate images with a trained diffusion model."""
import argparse
import os.path as osp
import sys
from typing import Optional, Sequence

from mmengine.config import DictAction
from mmengine.device import get_device

from mmw2s.engine.launch import check_checkpoint, load_config
from mmw2s.engine.sampling import load_model, write_samples
from mmw2s.utils.tool_errors import errors_in_one_line


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'should be 1 or more, but is {text}')
    return number


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'config',
        help='a config file, or the name of one of mmw2s or of a package '
        '(mmdet::...)')
    parser.add_argument('checkpoint', help='a checkpoint file')
    parser.add_argument(
        '--num',
        type=positive,
        default=64,
        help='number of images (default: 64)')
    parser.add_argument(
        '--out',
        help='the folder; images that it holds already are not made again '
        '(default: ./work_dirs/CONFIG/samples)')
    parser.add_argument(
        '--grid',
        nargs='?',
        type=positive,
        const=64,
        metavar='N',
        help='write grid.png of the first N images too (64 without a number)')
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='of the first image; the others count on (default: 0)')
    parser.add_argument(
        '--label',
        type=int,
        help='class of all images of a conditional model (default: all in '
        'turns)')
    parser.add_argument(
        '--batch-size',
        type=positive,
        default=64,
        help='images at a time (default: 64)')
    parser.add_argument(
        '--diffusers',
        metavar='FOLDER',
        help='write denoiser and scheduler to this folder, as '
        'from_pretrained of diffusers reads them')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, as in model.sampling_steps=20 '
        'or model.sampler.type=diffusers.DPMSolverMultistepScheduler')
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    folder = args.out or osp.join('work_dirs',
                                  osp.splitext(osp.basename(args.config))[0],
                                  'samples')
    with errors_in_one_line('sample.py'):
        cfg = load_config(args.config, args.cfg_options)
        check_checkpoint(args.checkpoint)
        model = load_model(cfg, args.checkpoint).to(get_device())
        if args.diffusers:
            model.save_pretrained(args.diffusers)
            print(f'The denoiser and its scheduler are in {args.diffusers}')
        try:
            made = write_samples(model, folder, args.num, args.seed,
                                 args.label, args.batch_size, args.grid)
        except KeyboardInterrupt:
            print(
                f'\nInterrupted. The same command goes on in {folder}.',
                file=sys.stderr)
            raise
    print(f'{args.num} images are in {folder}, {made} of them made now.')


if __name__ == '__main__':
    main()
