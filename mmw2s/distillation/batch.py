# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The forms in which collate functions and preprocessors give a batch."""
from typing import Any, List, Mapping, Optional, Sequence

import torch
from mmengine.structures import BaseDataElement
from mmengine.utils import is_seq_of
from torch import Tensor, nn

from mmw2s.utils.kinds import is_kind

__all__ = ['ARGUMENTS', 'images_of', 'refuse_branches', 'samples_of']

#: Names of the positional arguments of a model's forward.
ARGUMENTS = ('inputs', 'data_samples', 'mode')

# Under which the metainfo of each image is found.
_METAINFO = ('metainfo', 'img_metas', 'img_meta')


def refuse_branches(student: nn.Module) -> None:
    """Refuse, before training, a student of several batches at once.

    Raises:
        ValueError: For a semi-supervised detector.
    """
    preprocessor = student.data_preprocessor
    if is_kind(student, 'SemiBaseDetector') or is_kind(
            preprocessor, 'MultiBranchDataPreprocessor'):
        raise ValueError(
            f'the student is a {type(student).__name__} with a '
            f'{type(preprocessor).__name__}, whose inputs are a dict of '
            'branches, each with images of its own: a teacher cannot be shown '
            'them all at once. Distill into the detector alone '
            '(model.detector) on labeled images, or leave the hook out')


def images_of(inputs: Any) -> Tensor:
    """The images that a student's forward was given, (B, C, H, W).

    Args:
        inputs (Any): Its argument of that name.

    Raises:
        ValueError: If it is no one batch of images.
    """
    if isinstance(inputs, Tensor):
        return inputs
    given = f'a {type(inputs).__name__}'
    if inputs is None:
        given = 'none of that name'
    elif isinstance(inputs, Mapping):
        given = f'a dict of {", ".join(map(str, inputs))}'
    elif is_seq_of(inputs, Tensor) and inputs:
        shapes = {tuple(image.shape): None for image in inputs}
        # One by one, as a preprocessor that does not stack leaves them.
        if len(shapes) == 1 and inputs[0].dim() < 4:
            return torch.stack(list(inputs))
        given = f'a list of tensors of {", ".join(map(str, shapes))}'
    raise ValueError(
        'the student\'s forward should be given "inputs", one batch of images '
        f'(B, C, H, W) that its teacher can be shown too, but got {given}: '
        'use a data_preprocessor that gives such a batch (several views or '
        'branches at once are not supported), or leave the hook out')


def samples_of(data_samples: Any, count: int) -> Optional[Sequence]:
    """The data samples of a batch, one for each image.

    Args:
        data_samples (Any): Data elements, dicts, or one dict of what is known
            of all images, as collate functions that are made for speed give
            it.
        count (int): Number of images.

    Returns:
        Sequence, optional: None where nothing is known.
    """
    if isinstance(data_samples, Mapping):
        return [_element(one) for one in _split(data_samples, count)]
    if is_seq_of(data_samples, Mapping):
        return [_element(one) for one in data_samples]
    return data_samples


def _split(together: Mapping, count: int) -> List[dict]:
    """What is known of each image; what is not kept image by image is left."""
    ones: List[dict] = [{} for _ in range(count)]
    for key, values in together.items():
        if isinstance(values, (str, bytes, Mapping)) or \
                not hasattr(values, '__len__') or \
                getattr(values, 'shape', (1, )) == () or \
                len(values) != count:
            continue
        for i, one in enumerate(ones):
            # Labels keep their dimension, as those of a data sample.
            is_label = isinstance(values, Tensor) and values.dim() == 1
            one[key] = values[i:i + 1] if is_label else values[i]
    return ones


def _element(fields: Mapping) -> BaseDataElement:
    element = BaseDataElement()
    for key, value in fields.items():
        if key in _METAINFO and isinstance(value, Mapping):
            element.set_metainfo(dict(value))
        elif isinstance(value, (Tensor, BaseDataElement)):
            element.set_data({key: value})
        else:
            element.set_metainfo({key: value})
    return element
