# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Any, Sequence, Union

from mmengine.registry import MODELS
from torch import nn

from mmw2s.utils.fields import check_integer

__all__ = ['ShallowResNet']


@MODELS.register_module()
def ShallowResNet(blocks: Sequence[int],
                  depth: int = 50,
                  kind: Union[str, type] = 'ResNet',
                  **fields: Any) -> nn.Module:
    """Build a ResNet of the current scope with fewer blocks in its stages.

    mmdet and mmpretrain have no ResNet of bottlenecks with less than 50
    layers. One block a stage makes a cheap teacher out of which a deeper
    student can grow (``start=dict(type='Grow')``): its blocks are of the
    same kind.

    Args:
        blocks (Sequence[int]): Number of blocks of each stage.
        depth (int): The ResNet whose kind of block it has: basic blocks for
            18 and 34, bottlenecks for more. Defaults to 50.
        kind (str | type): The backbone, such as ``'ResNetV1d'``. Defaults to
            ``'ResNet'``.
        **fields: Fields of that backbone.

    Returns:
        nn.Module: A backbone of the class ``kind`` itself.

    Raises:
        ValueError: If ``kind`` has no such depth, or ``blocks`` are not one
            number for each of its stages.

    Examples:
        >>> backbone = dict(
        ...     type='ShallowResNet',
        ...     blocks=(1, 1, 1, 1),
        ...     base_channels=32,
        ...     stem_channels=32)
    """
    with MODELS.switch_scope_and_registry(None) as registry:
        resnet = registry.get(kind) if isinstance(kind, str) else kind
    settings = getattr(resnet, 'arch_settings', None) or {}
    if depth not in settings:
        raise ValueError(
            'ShallowResNet.kind and depth should be a ResNet of this scope '
            f'({registry.scope}) and one of its depths, but got {kind!r} and '
            f'{depth!r}; its depths: {sorted(settings)}')
    stages = fields.get('num_stages', len(settings[depth][1]))
    if not isinstance(blocks, (list, tuple)) or len(blocks) != stages:
        raise ValueError(f'ShallowResNet.blocks should be {stages} numbers, '
                         f'one for each stage, but got {blocks!r}')
    for count in blocks:
        check_integer('ShallowResNet.blocks', count, at_least=1)
    # A class of its own could not be pickled, and would be another kind of
    # backbone for whoever compares the two.
    backbone = resnet.__new__(resnet)
    backbone.__dict__['arch_settings'] = {
        depth: (settings[depth][0], tuple(blocks))
    }
    backbone.__init__(depth=depth, **fields)
    return backbone
