# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The size of the images of a run, as its pipelines set it."""
from typing import Any, Iterator, List, Tuple

from mmengine.config import Config

from mmw2s.utils.kinds import bare_name

__all__ = ['image_size', 'scale_images']

#: Transforms that resize, and the field that says to what size.
_RESIZING = {
    'Resize': 'scale',
    'FixScaleResize': 'scale',
    'RandomResize': 'scale',
    'RandomChoiceResize': 'scales',
    'RandomResizedCrop': 'scale',
    'ResizeEdge': 'scale',
    'Mosaic': 'img_scale',
    'CachedMosaic': 'img_scale',
    'MixUp': 'img_scale',
    'CachedMixUp': 'img_scale',
}
#: Transforms that cut or fill to a size, which only follow the others.
_CUTTING = {
    'CenterCrop': 'crop_size',
    'RandomCrop': 'crop_size',
    'Pad': 'size'
}
_USUAL = (224, 224)


def image_size(cfg: Config) -> Tuple[int, int]:
    """Height and width of the images that a run validates on.

    Where no transform says it, the model may; 224 if it does not either.

    Args:
        cfg (Config): The config of a run.
    """
    # The last step of a pipeline has the last word.
    found = [
        step[key] for loader in ('train_dataloader', 'val_dataloader')
        for step, key in _sized(cfg.get(loader), {
            **_RESIZING,
            **_CUTTING
        }) if step[key] is not None
    ]
    part = cfg.model.get('denoiser') or cfg.model.get('backbone') or {}
    size = part.get('sample_size') or part.get('img_size') or (
        found[-1] if found else _USUAL)
    while isinstance(size, (list, tuple)) and \
            isinstance(size[0], (list, tuple)):
        size = size[0]
    if isinstance(size, int):
        return size, size
    # mmcv's scale is (width, height), and for one side (longer, shorter).
    return int(size[1]), int(size[0])


def scale_images(cfg: Config, scale: float) -> None:
    """Let a run see its images at a part of their size, in place.

    What resizes, resizes to that part, and what cuts or fills follows. Where
    nothing resizes, a step that does is added before the images are packed.

    Args:
        cfg (Config): The config of a run.
        scale (float): Factor of both sides.

    Raises:
        ValueError: If the images of a data loader are neither resized nor
            packed.
    """
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(name)
        if not loader:
            continue
        if not list(_sized(loader, _RESIZING)):
            if not _resize_when_packed(loader, scale):
                raise ValueError(
                    f'--teacher-scale {scale:g} scales the steps that resize '
                    f'({", ".join(_RESIZING)}), but {name} has none, and no '
                    'step named Pack... to add one before: add a Resize to '
                    'its pipeline, or leave --teacher-scale out')
            continue
        for step, key in _sized(loader, {**_RESIZING, **_CUTTING}):
            if step.get(key) is not None and \
                    not str(step.get('crop_type', '')).startswith('relative'):
                step[key] = _scaled(step[key], scale)


def _sized(node: Any, fields: dict) -> Iterator[Tuple[dict, str]]:
    """The transforms in a node that have a size, and its field."""
    if isinstance(node, dict):
        key = fields.get(bare_name(node.get('type')))
        if key is not None and key in node:
            yield node, key
        children: List[Any] = list(node.values())
    else:
        children = list(node) if isinstance(node, (list, tuple)) else []
    for child in children:
        yield from _sized(child, fields)


def _resize_when_packed(node: Any, scale: float) -> bool:
    """Add a step that resizes to every pipeline that packs its images."""
    if isinstance(node, dict):
        return any([_resize_when_packed(v, scale) for v in node.values()])
    if not isinstance(node, (list, tuple)):
        return False
    packs = [
        i for i, step in enumerate(node) if isinstance(step, dict)
        and bare_name(step.get('type')).startswith('Pack')
    ]
    if not packs or not isinstance(node, list):
        return any([_resize_when_packed(child, scale) for child in node])
    node.insert(
        packs[0],
        dict(
            type='Resize',
            scale_factor=scale,
            keep_ratio=True,
            interpolation='area'))
    return True


def _scaled(size: Any, scale: float) -> Any:
    if isinstance(size, (list, tuple)):
        return type(size)(_scaled(part, scale) for part in size)
    return max(1, round(size * scale))
