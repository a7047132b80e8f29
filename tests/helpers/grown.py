# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Students that have grown out of their teachers, and what they compute."""
import torch

from mmw2s.distillation.starts.growth import grow_module


def with_noise(model, seed: int = 1):
    """Weights none of which is 0 or 1 by its initialization."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn(p.shape, generator=generator)
    return model


def grow(student, teacher):
    """The student after it has grown; it keeps what the rules leave out."""
    torch.manual_seed(0)
    missing, unknown = student.load_state_dict(
        grow_module(student, teacher, widen=True), strict=False)
    assert not unknown, unknown
    return student


def gap(ours, theirs) -> float:
    """The largest difference of two outputs, of their size."""
    assert ours.shape == theirs.shape and theirs.abs().max() > 1e-3
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def equal_copies(model, k: int = 2) -> list:
    """The parameters with ``k`` copies of each row, all of equal gradients.

    Only those that get a gradient.
    """
    equal = []
    for name, p in model.named_parameters():
        if p.grad is None or len(p) % k:
            continue
        rows, grads = p.unflatten(0, (-1, k)), p.grad.unflatten(0, (-1, k))
        is_copied = torch.equal(rows[:, 0], rows[:, 1])
        size = grads.abs().max()
        if is_copied and size > 1e-5 and \
                (grads[:, 0] - grads[:, 1]).abs().max() < 1e-3 * size:
            equal.append(name)
    return equal
