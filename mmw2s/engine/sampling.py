# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Generating images from a checkpoint into a folder."""
import json
import os
import os.path as osp
from typing import Optional

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from PIL import Image
from rich.progress import track
from torch import nn

from mmw2s.cache import weights_hash
from mmw2s.distillation.checkpoint import load_weights
from mmw2s.models.diffusion.grid import image_grid
from mmw2s.utils.files import atomic_write
from mmw2s.utils.text import plural

__all__ = ['load_model', 'write_samples']

_FACTS = 'samples.json'


def load_model(cfg: Config, checkpoint: str) -> nn.Module:
    """The model of a config with the weights of a checkpoint, in eval mode.

    The file's pickled code is not run. Where the run had an ``EMAHook``, the
    weights are the averaged ones.

    Args:
        cfg (Config): With the key ``model``.
        checkpoint (str): Path or URL.

    Raises:
        ValueError: If the model generates no images, or the weights are of
            another one.
    """
    if 'model' not in cfg:
        raise ValueError('the config should have the key "model", but has '
                         f'{", ".join(cfg) or "none"}')
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        model = MODELS.build(cfg.model)
    if not hasattr(model, 'sample'):
        raise ValueError('the config should be of a model that generates '
                         'images, such as DenoisingDiffusion, but is of a '
                         f'{type(model).__name__}')
    weights, _ = load_weights(checkpoint, False)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f'the checkpoint {checkpoint} does not fit the '
                         f'model of the config: {error}') from None
    return model.eval()


def write_samples(model: nn.Module,
                  folder: str,
                  num: int,
                  seed: int = 0,
                  label: Optional[int] = None,
                  batch_size: int = 64,
                  grid: Optional[int] = None) -> int:
    """Generate images into ``folder`` as ``000000.png`` and so on.

    The i-th is that of the seed ``seed + i``. Those that are there already
    are left alone, so that a run that was cut can be called again.

    Args:
        model (nn.Module): A diffusion model, on its device.
        folder (str): Made if it is not there.
        num (int): Number of images.
        seed (int): The first seed. Defaults to 0.
        label (int, optional): The class of all images of a conditional model.
            Defaults to None: all classes in turns.
        batch_size (int): Images at a time. Defaults to 64.
        grid (int, optional): Write ``grid.png`` of the first so many.
            Defaults to None.

    Returns:
        int: How many were generated now.

    Raises:
        ValueError: If there is no such class.
        FileExistsError: If the folder holds images of another model, seed,
            class or sampler.
    """
    if label is not None and not 0 <= label < (model.num_classes or 0):
        raise ValueError(
            f'the label should be below num_classes ({model.num_classes}), '
            f'but is {label}')
    os.makedirs(folder, exist_ok=True)
    _note_facts(
        osp.join(folder, _FACTS),
        dict(
            weights=weights_hash(model),
            sampler=_sampler_of(model),
            seed=seed,
            label=label))

    def path(i: int) -> str:
        return osp.join(folder, f'{i:06d}.png')

    missing = [i for i in range(num) if not osp.exists(path(i))]
    starts = range(0, len(missing), batch_size)
    for start in track(starts, description=plural(len(missing), 'image')):
        batch = missing[start:start + batch_size]
        images = model.sample([seed + i for i in batch],
                              None if label is None else [label] * len(batch))
        for i, image in zip(batch, images.permute(0, 2, 3, 1).cpu().numpy()):
            pixels = Image.fromarray(
                image.squeeze(-1) if image.shape[-1] == 1 else image)
            pixels.save(f'{path(i)}.part', 'png')
            os.replace(f'{path(i)}.part', path(i))
    if grid:
        first = [_read(path(i)) for i in range(min(grid, num))]
        Image.fromarray(image_grid(torch.stack(first))).save(
            osp.join(folder, 'grid.png'))
    return len(missing)


def _sampler_of(model: nn.Module) -> dict:
    """All that tells how images are generated, as JSON gives it back."""
    config = json.loads(model.sampler.to_json_string())
    settings = {k: v for k, v in config.items() if not k.startswith('_')}
    return dict(
        name=model.sampler_name, type=type(model.sampler).__name__, **settings)


def _note_facts(path: str, facts: dict) -> None:
    """Write down what the images are of; refuse to mix them with others."""
    if not osp.exists(path):
        with atomic_write(path) as file:
            json.dump(facts, file)
        return
    with open(path) as file:
        found = json.load(file)
    different = [key for key in facts if found.get(key) != facts[key]]
    if different:
        raise FileExistsError(
            f'{osp.dirname(path)} holds images with another '
            f'{", ".join(different)}: give another folder, or remove this one')


def _read(path: str) -> torch.Tensor:
    with Image.open(path) as image:
        pixels = np.array(image.convert('RGB'))
    return torch.from_numpy(pixels).permute(2, 0, 1)


if __name__ == '__main__':  # for "python -m"
    import sys

    from mmw2s.cli import main
    main(['sample', *sys.argv[1:]])
