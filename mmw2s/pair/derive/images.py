# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The size of the images of a run, as its pipelines set it."""
from typing import Any, Iterator, Tuple

from mmengine.config import Config

from mmw2s.utils.flat import dicts_in
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
_SIZES = {**_RESIZING, **_CUTTING}
#: What scales with the images, of steps that tell no size too.
_SCALING = {**_SIZES, 'RandomAffine': 'border'}
#: What resizes or fills whole batches, in a data preprocessor.
_OF_BATCHES = {
    'BatchSyncRandomResize': 'random_size_range',
    'BatchFixedSizePad': 'size',
    'SegDataPreProcessor': 'size'
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
        for step, key in _sized(cfg.get(loader), _SIZES)
        if step[key] is not None
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

    In each data loader, what resizes, resizes to that part, and what cuts or
    fills follows. Where nothing resizes, a step that does is added.

    Args:
        cfg (Config): The config of a run.
        scale (float): Factor of both sides.

    Raises:
        ValueError: If the model is for images of one size, or it is not known
            how the images of a data loader are made smaller.
    """
    if cfg.model.get('denoiser'):
        raise ValueError('--teacher-scale: a denoiser is for images of one '
                         'size, and its errors at two cannot be compared: '
                         'leave it out')
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(name)
        if not loader:
            continue
        if not list(_sized(loader, _RESIZING)):
            try:
                _add_resize(loader, scale, name == 'train_dataloader')
            except ValueError as error:
                raise ValueError(
                    f'--teacher-scale {scale:g} scales the steps that resize '
                    f'({", ".join(_RESIZING)}), but {name} has none, and '
                    f'{error}: add a Resize to its pipeline, or leave '
                    '--teacher-scale out') from error
            continue
        _scale(loader, scale)
    for hook in dicts_in(cfg.get('custom_hooks') or []):
        _scale(hook.get('switch_pipeline'), scale)
    for place in (cfg, cfg.model):
        for step, key in _sized(place.get('data_preprocessor'), _OF_BATCHES):
            if step[key] is not None:
                step[key] = _scaled(step[key], scale)


def _scale(node: Any, scale: float) -> None:
    for step, key in _sized(node, _SCALING):
        if step.get(key) is not None and \
                not str(step.get('crop_type', '')).startswith('relative'):
            step[key] = _scaled(step[key], scale)


def _add_resize(loader: dict, scale: float, in_training: bool) -> None:
    """Add a step that resizes to every pipeline that packs its images.

    Raises:
        ValueError: If none does, or one may resize already.
    """
    pipelines = [
        part['pipeline'] for part in dicts_in(loader)
        if isinstance(part.get('pipeline'), list)
    ]
    is_packed = False
    for pipeline in pipelines:
        names = [str(step['type']) for step in pipeline]
        at = next((i for i, name in enumerate(names)
                   if bare_name(name).startswith('Pack')), None)
        if at is None:
            continue
        is_packed = True
        # Two that resize would not know of each other's factor, and images of
        # PIL are no arrays.
        strange = [
            name for name in names if name.startswith('torchvision/')
            or 'Resize' in name or 'CropPad' in name
        ]
        if strange:
            raise ValueError(f'it is not known how {strange[0]} is scaled')
        # Of "mmdet.PackDetInputs", and of a class or its whole path.
        kind = pipeline[at]['type']
        path = kind if isinstance(kind, str) else f'{kind.__module__}.'
        scope = path.partition('.')[0] if '.' in path else ''
        if not in_training:
            # Predictions are judged in the coordinates of the whole image.
            at = next((i for i, name in enumerate(names[:at])
                       if 'Annotations' in name), at)
        pipeline.insert(
            at,
            dict(
                type=f'{scope}.Resize' if scope else 'Resize',
                scale_factor=scale,
                keep_ratio=True,
                interpolation='area'))
    if not is_packed:
        raise ValueError('no step named Pack... to add one before')


def _sized(node: Any, fields: dict) -> Iterator[Tuple[dict, str]]:
    """The transforms in a node that have a size, and its field."""
    for part in dicts_in(node):
        key = fields.get(bare_name(part.get('type')))
        if key is not None and key in part:
            yield part, key


def _scaled(size: Any, scale: float) -> Any:
    if isinstance(size, (list, tuple)):
        return type(size)(_scaled(part, scale) for part in size)
    # A border is below 0 where it cuts.
    return max(1, round(size * scale)) if size > 0 else round(size * scale)
