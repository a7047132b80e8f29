# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Dict, Optional

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mmw2s.models.diffusion.grid import image_grid
from mmw2s.utils.fields import check_integer, check_seed
from mmw2s.utils.unwrap_model import unwrap_model

__all__ = ['SampleGridHook']


@HOOKS.register_module()
class SampleGridHook(Hook):
    """Logs a grid of generated images after each validation.

    All backends of the visualizer get it, under the name ``samples``. The
    seeds are the same each time, so that the images show the progress. With an
    ``EMAHook`` the averaged model generates them.

    Args:
        num (int): Number of images. Defaults to 64.
        seed (int): Seed of the first image; it increases by 1 from image to
            image. Defaults to 0.

    Raises:
        ValueError: Before anything runs, if the model cannot generate images.

    Examples:
        >>> custom_hooks = [dict(type='SampleGridHook', num=36)]
    """

    # Before EMAHook, which puts the weights that are trained back.
    priority = 'ABOVE_NORMAL'

    def __init__(self, num: int = 64, seed: int = 0) -> None:
        check_integer('SampleGridHook.num', num, at_least=1)
        check_seed('SampleGridHook.seed', seed)
        self.num, self.seed = num, seed

    def before_run(self, runner: Runner) -> None:
        """Refuse a model that cannot generate images."""
        model = unwrap_model(runner.model)
        if not hasattr(model, 'sample'):
            raise ValueError(
                f'SampleGridHook needs a model that generates images, such as '
                f'DenoisingDiffusion, but got a {type(model).__name__}')

    @master_only
    def after_val_epoch(self,
                        runner: Runner,
                        metrics: Optional[Dict[str, float]] = None) -> None:
        """Generate the images and log them."""
        seeds = range(self.seed, self.seed + self.num)
        images = unwrap_model(runner.model).sample(seeds)
        runner.visualizer.add_image('samples', image_grid(images), runner.iter)
