#!/usr/bin/env python
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""FID and KID of a config's validation images and its reference images."""
import argparse
from typing import Optional, Sequence

from mmengine.config import DictAction
from mmengine.device import get_device
from mmengine.registry import DATASETS, METRICS, DefaultScope

from mmw2s.engine.launch import is_of_type, load_config
from mmw2s.evaluation.distances import frechet_distance, kernel_distance
from mmw2s.evaluation.reference import reference_of
from mmw2s.utils.tool_errors import errors_in_one_line


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='Both sets are of real images, so this shows whether extractor '
        'and data are right. Of CIFAR-10, the test images against the '
        'training images, an FID of 3.15 is known.')
    parser.add_argument(
        'config',
        help='a config with the metric FID, or the name of one of '
        'mmw2s')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, as in '
        'val_dataloader.dataset.indices=100')
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    with errors_in_one_line('fid_of_real_images.py'):
        cfg = load_config(args.config, args.cfg_options)
        metrics = cfg.val_evaluator
        metrics = metrics if isinstance(metrics, list) else [metrics]
        found = [m for m in metrics if is_of_type(m, 'FID', METRICS)]
        if not found:
            raise ValueError(
                'val_evaluator should have the metric FID, but '
                f'has {", ".join(str(m["type"]) for m in metrics)}')
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
            fid = METRICS.build(found[0])
            val, real = (
                reference_of(
                    DATASETS.build(dataset), fid.extractor, get_device(),
                    fid.batch_size) for dataset in (cfg.val_dataloader.dataset,
                                                    found[0]['reference']))
    for measure in fid.measures:
        value = frechet_distance(*val[:2], *real[:2]) if measure == 'fid' \
            else kernel_distance(val.features, real.features)
        print(f'{measure} {value:.6g}')


if __name__ == '__main__':
    main()
