# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What models give for random images, and whether two give the same."""
from contextlib import ExitStack, contextmanager
from typing import Any, Iterator, List, Mapping, Sequence, Tuple

import torch
from mmengine.structures import BaseDataElement, InstanceData
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_flatten

from mmw2s.utils.kinds import is_kind
from mmw2s.utils.rng import preserved_rng

__all__ = [
    'full_precision', 'is_near', 'outputs_of', 'raw_outputs',
    'refuse_other_outputs', 'seeded'
]

# Largest difference, as a share of how far the teacher's outputs are spread,
# and, for rounding, of how large they are.
_TOLERANCE, _ROUNDING = 1e-4, 1e-6
# Sides of images where no module names one (`img_size`). Some detectors need
# as many places as they have queries.
_SIZES = 64, 320


@contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """Random numbers of a seed, after which the run's own go on."""
    with preserved_rng():
        # `torch.manual_seed` would seed devices that are not in use yet too,
        # which could not be taken back.
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed(seed)
        yield


def refuse_other_outputs(student: nn.Module, teacher: nn.Module) -> None:
    """Compare the outputs of two random images, see :func:`outputs_of`.

    In float64, where the models can be run in it: some enlarge rounding
    errors. On a map of one place, say, a group of a ``GroupNorm`` has a few
    numbers, which may be nearly alike.

    Args:
        student (nn.Module): The student, without a wrapper.
        teacher (nn.Module): The teacher, on the same device.

    Raises:
        ValueError: If an output differs by more than 1e-4 of the spread of
            the teacher's, or the models cannot be run.
    """
    models = dict(student=student, teacher=teacher)
    try:
        own, given = outputs_of(torch.float64, **models)
    except ValueError:
        own, given = outputs_of(**models)
    if [x.shape for x in own] != [x.shape for x in given]:
        raise ValueError(f'the student gives {_told(own)}, the teacher '
                         f'{_told(given)}')
    for place, (output, wanted) in enumerate(zip(own, given)):
        if not wanted.isfinite().all():
            raise ValueError('the teacher\'s outputs for random images are '
                             'not finite')
        gap, allowed = _gap(output, wanted)
        if not gap <= allowed:
            raise ValueError(
                f'output {place} of {len(own)} ({_told([output])}) differs '
                f'by up to {gap:.2g}, where rounding would allow '
                f'{allowed:.2g}')


def is_near(own: Tensor, given: Tensor) -> bool:
    """Whether a tensor is another of the same shape, but for rounding."""
    gap, allowed = _gap(own, given)
    return gap <= allowed


def _gap(own: Tensor, given: Tensor) -> Tuple[float, float]:
    if own.numel() == 0:
        return 0., 0.
    own, given = own.double(), given.double()
    spread = (given - given.mean()).abs().max()
    return (own -
            given).abs().max().item(), (_TOLERANCE * spread +
                                        _ROUNDING * given.abs().max()).item()


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    # Not by `eval()`: a model's own `train()` may do more, and both would
    # forget which modules are in which mode.
    modes = {module: module.training for module in model.modules()}
    try:
        for module in modes:
            module.training = False
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def full_precision() -> Iterator[None]:
    """Without TF32, whose rounding is larger than what is allowed."""
    matmul = torch.backends.cuda.matmul.allow_tf32
    convolution = torch.backends.cudnn.allow_tf32
    try:
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = matmul
        torch.backends.cudnn.allow_tf32 = convolution


@torch.no_grad()
def outputs_of(dtype: torch.dtype = torch.float32,
               **models: nn.Module) -> List[List[Tensor]]:
    """The outputs for two random images, the smallest that all models take.

    The models run in eval mode. Their modes, their tensors and the state of
    random numbers stay as they were.

    Args:
        dtype (torch.dtype): Of the images, and, if it is another than
            float32, of the tensors in whose place the models' are taken.
            Defaults to float32.
        **models (nn.Module): Whose model -> the model, on the same device.
            The first has the size of the images.

    Returns:
        list[list[Tensor]]: The outputs of each model.

    Raises:
        ValueError: If a model cannot be run.
    """
    with ExitStack() as stack:
        for context in (seeded(), full_precision(),
                        *map(_evaluating, models.values())):
            stack.enter_context(context)
        return _run(models, dtype)


def _run(models: Mapping[str, nn.Module],
         dtype: torch.dtype) -> List[List[Tensor]]:
    first = next(iter(models.values()))
    shapes = _image_shapes(first)
    for shape in shapes:
        found = []
        batch = _batch(first, shape, dtype)
        for whose, model in models.items():
            try:
                with seeded():  # a diffusion model draws its noise
                    found.append(_cast_outputs(model, *batch))
            except Exception as error:
                if shape != shapes[-1]:
                    break
                raise ValueError(
                    f'the {whose} cannot be run on random images '
                    f'({_told([batch[0]])}), to see what it gives: '
                    f'{type(error).__name__}: {error}') from error
        if len(found) == len(models):
            break
    return found


class _Raw(nn.Module):
    """A model whose forward is :func:`raw_outputs`."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *batch: Any) -> List[Tensor]:
        return raw_outputs(self.model, *batch)


def _cast_outputs(model: nn.Module, inputs: Tensor,
                  samples: List[BaseDataElement]) -> List[Tensor]:
    """The outputs of a model whose tensors are of the images' dtype."""
    if inputs.dtype == torch.float32:
        return raw_outputs(model, inputs, samples)
    raw = _Raw(model)
    cast = {
        name: tensor.to(inputs.dtype)
        for name, tensor in (*raw.named_parameters(), *raw.named_buffers())
        if tensor.is_floating_point()
    }
    return functional_call(raw, cast, (inputs, samples))


def _batch(model: nn.Module, shape: Sequence[int],
           dtype: torch.dtype) -> Tuple[Tensor, List[BaseDataElement]]:
    """Two random images, and what is known of them."""
    device = next(model.parameters()).device
    inputs = torch.randn(2, *shape).to(device, dtype)
    size = tuple(shape[1:])
    label = torch.zeros(1, dtype=torch.long, device=device)
    return inputs, [
        BaseDataElement(
            metainfo=dict(
                img_id=i,
                img_shape=size,
                ori_shape=size,
                pad_shape=size,
                batch_input_shape=size,
                scale_factor=(1., 1.)),
            gt_label=label,
            gt_instances=InstanceData(bboxes=boxes.bboxes[:1], labels=label))
        for i, boxes in enumerate(_proposals(inputs))
    ]


def _image_shapes(model: nn.Module) -> List[Sequence[int]]:
    """Channels, height and width of images to try."""
    if hasattr(model, 'image_shape'):  # a diffusion model
        return [model.image_shape]
    size: Any = None
    channels = 3
    for module in reversed(list(model.modules())):
        size = getattr(module, 'img_size', None) or size
        if is_kind(module, '_ConvNd'):
            channels = module.in_channels
        elif is_kind(module, 'Focus'):  # it makes channels of 2 x 2 pixels
            channels //= 4
    sizes = [size] if size else _SIZES
    return [(channels, *((side, side) if isinstance(side, int) else side))
            for side in sizes]


def raw_outputs(model: nn.Module, inputs: Tensor,
                samples: List[BaseDataElement]) -> List[Tensor]:
    """What a model gives for images, before it is decoded.

    A two-stage detector is given eight boxes an image, and not its own
    proposals, which the weights decide on.
    """
    if is_kind(getattr(model, 'rpn_head', None), 'RPNHead') and \
            hasattr(model, 'roi_head'):
        # Its own forward sorts proposals by score: a rounding error would
        # exchange two of them.
        features = model.extract_feat(inputs)
        output = [
            model.rpn_head(features),
            model.roi_head.forward(features, _proposals(inputs), samples)
        ]
    else:
        # Of the class, not of the object: there it may be compiled, for
        # training, and would be compiled anew.
        output = type(model).forward(model, inputs, samples, mode='tensor')
    return [x for x in tree_flatten(output)[0] if isinstance(x, Tensor)]


def _proposals(inputs: Tensor) -> List[InstanceData]:
    """Eight boxes an image."""
    height, width = inputs.shape[2:]
    scale = inputs.new_tensor([width, height, width, height])
    corners = torch.rand(len(inputs), 8, 2).to(inputs) / 2
    boxes = torch.cat([corners, corners + 0.4], 2) * scale
    return [
        InstanceData(bboxes=ones, scores=torch.ones_like(ones[:, 0]))
        for ones in boxes
    ]


def _told(tensors: Sequence[Tensor]) -> str:
    return ', '.join(' x '.join(map(str, x.shape)) for x in tensors)
