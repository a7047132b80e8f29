# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""How each family of models becomes smaller: one rule for each."""
import inspect
from typing import Any, Callable, Dict, Optional

from torch import nn

from mmw2s.utils.kinds import bare_name

__all__ = ['FAMILIES', 'HALF', 'Rule']

#: The width of a teacher from scratch, where no other is asked for.
HALF = 0.5

#: Takes a built backbone (or denoiser), its config, the width that was asked
#: for, a factor or None, and whether the student begins with weights of its
#: own; gives the fields that make it smaller.
Rule = Callable[[nn.Module, dict, Optional[float], bool], Dict[str, Any]]

#: Name of a class -> its rule.
FAMILIES: Dict[str, Rule] = {}


def _family(*names: str) -> Callable[[Rule], Rule]:

    def register(rule: Rule) -> Rule:
        FAMILIES.update(dict.fromkeys(names, rule))
        return rule

    return register


@_family('ResNet', 'ResNetV1c', 'ResNetV1d', 'ResNet_CIFAR')
def _resnet(backbone: nn.Module, cfg: dict, width: Optional[float],
            pretrained: bool) -> Dict[str, Any]:
    """One block a stage and half as wide, so that the student can grow out of
    it. 18 layers, as wide, if the student begins with weights of its own."""
    fields: Dict[str, Any] = {}
    if not pretrained:
        fields.update(
            type='ShallowResNet', blocks=[1] * len(backbone.stage_blocks))
        if bare_name(cfg['type']) != 'ShallowResNet':
            fields.update(kind=_written(cfg['type']))
    elif backbone.depth > 18:
        width = width or 1.
        fields.update(depth=18)
        # Basic blocks have none of these.
        fields.update({k: None for k in ('dcn', 'plugins') if cfg.get(k)})
    width = width or HALF
    if width != 1:
        fields.update(
            base_channels=_scaled(backbone.base_channels, width),
            stem_channels=_scaled(backbone.stem_channels, width))
    return fields


@_family('SwinTransformer')
def _swin(backbone: nn.Module, cfg: dict, width: Optional[float],
          pretrained: bool) -> Dict[str, Any]:
    """Half as wide, with as many heads."""
    width = width or HALF
    if hasattr(backbone, 'arch_settings'):  # mmpretrain's
        settings = backbone.arch_settings
        return dict(
            arch=dict(
                settings, embed_dims=_scaled(settings['embed_dims'], width)))
    dims = cfg.get('embed_dims', _default(backbone, 'embed_dims'))
    return dict(embed_dims=_scaled(dims, width))


@_family('VisionTransformer')
def _vit(backbone: nn.Module, cfg: dict, width: Optional[float],
         pretrained: bool) -> Dict[str, Any]:
    """Half as wide: channels, heads and hidden channels."""
    return dict(
        arch={
            name: value if name ==
            'num_layers' else _scaled(value, width or HALF)
            for name, value in backbone.arch_settings.items()
        })


@_family('UNet2DModel')
def _unet2d(denoiser: nn.Module, cfg: dict, width: Optional[float],
            pretrained: bool) -> Dict[str, Any]:
    """Half as wide in all levels."""
    config = denoiser.config
    widths = [_scaled(w, width or HALF) for w in config.block_out_channels]
    groups, head = config.norm_num_groups, config.attention_head_dim
    if groups and any(w % groups for w in widths):
        raise ValueError(
            f'its levels would have {widths} channels, which norm_num_groups='
            f'{groups} does not divide: give another --teacher-width')
    fields: Dict[str, Any] = dict(block_out_channels=tuple(widths))
    if head and head > min(widths):  # a head is no wider than a level
        fields.update(attention_head_dim=min(widths))
    return fields


def _written(kind: Any) -> str:
    """The name of a class in a registry; configs may have the class itself."""
    return kind if isinstance(
        kind, str) else f'{kind.__module__.split(".")[0]}.{kind.__name__}'


def _default(module: nn.Module, name: str) -> Any:
    return inspect.signature(type(module)).parameters[name].default


def _scaled(number: int, width: float) -> int:
    """A number of channels, heads or the like, as a whole number."""
    found = number * width
    if found != int(found) or found < 1:
        raise ValueError(f'{number} times {width:g} is no whole number: give '
                         'another --teacher-width')
    return int(found)
