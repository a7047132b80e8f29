# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Generate images with a scheduler of diffusers, and check that it fits.

diffusers calls both "scheduler": the noise schedule of the training and the
sampler that generates images. Here, the latter is called sampler.
"""
import copy
import inspect
from typing import Any, Callable, List, Sequence

import torch
from mmengine.registry import MODELS
from torch import Tensor

from mmw2s.utils.kinds import is_kind
from .fixed_noise import draw_noise, generators
from .prediction_type import PREDICTION_TYPES, target_of

__all__ = ['build_sampler', 'generate']

# Fields of the noise schedule and of the prediction, which both must share.
_NOISE = ('num_train_timesteps', 'beta_start', 'beta_end', 'beta_schedule',
          'trained_betas', 'rescale_betas_zero_snr', 'prediction_type')
# Values that a class without these fields stands for.
_USUAL = dict(
    prediction_type='epsilon',
    rescale_betas_zero_snr=False,
    use_flow_sigmas=False)
# Methods that `generate` calls.
_METHODS = ('from_config', 'set_timesteps', 'scale_model_input', 'step')
# After so many steps every sampler should be near the right images.
_ENOUGH = 50
# For consistency models. With an ordinary denoiser its images vary too little,
# however many steps it takes.
_CONSISTENCY = 'LCMScheduler'


def generate(sampler: Any, steps: int,
             denoise: Callable[[Tensor, Tensor], Tensor], seeds: Sequence[int],
             shape: Sequence[int], device: torch.device) -> Tensor:
    """Generate an image from each seed.

    Args:
        sampler (Any): A sampler of :func:`build_sampler`.
        steps (int): Number of steps.
        denoise (Callable): Gives the prediction for noisy images (B, C, H, W)
            and a timestep of shape ().
        seeds (Sequence[int]): One seed an image; all noise comes from it.
        shape (Sequence[int]): (C, H, W) of an image.
        device (torch.device): Device that images are generated on.

    Returns:
        Tensor: float32, shape (len(seeds), *shape), in about [-1, 1].
    """
    sampler.set_timesteps(steps, device=device)
    # The same generators draw the first noise and the noise that some samplers
    # add in each step.
    sources, fields = generators(seeds), {}
    if 'generator' in inspect.signature(sampler.step).parameters:
        fields['generator'] = sources
    images = draw_noise(sources, shape).to(device) * sampler.init_noise_sigma
    for t in sampler.timesteps:
        prediction = denoise(sampler.scale_model_input(images, t), t)
        images = sampler.step(
            prediction.float(), t, images, return_dict=False, **fields)[0]
    return images


def build_sampler(cfg: dict, scheduler: Any, steps: int) -> Any:
    """Build a sampler with the noise schedule of the training.

    Args:
        cfg (dict): Config of the sampler.
        scheduler (Any): The scheduler that the model is trained with.
        steps (int): Number of steps that an image will take.

    Returns:
        Any: The sampler.

    Raises:
        ValueError: If the sampler is for other noise, cannot have this noise
            schedule, or cannot generate images in so many steps.
    """
    kind = cfg.get('type')
    try:
        sampler = _build(cfg, scheduler)
        _compare(sampler, scheduler)
        _try_out(sampler, scheduler, steps)
    except _Unfit as reason:
        raise ValueError(
            f'sampler.type should be a scheduler of diffusers that shares '
            'the noise of the model\'s scheduler, as "diffusers.'
            f'DDIMScheduler", but got {kind!r}: {reason}. With this noise '
            f'schedule fit {", ".join(_fitting(scheduler, steps))}'
        ) from reason.__cause__
    return sampler


class _Unfit(ValueError):
    """Says why a sampler does not fit a noise schedule."""


def _build(cfg: dict, scheduler: Any) -> Any:
    fields = dict(cfg)
    kind = fields.pop('type', '')
    found = kind if inspect.isclass(kind) else MODELS.get(kind)
    lacking = [name for name in _METHODS if not hasattr(found, name)]
    if found is None:
        raise _Unfit('it is unknown')
    if lacking:
        raise _Unfit(f'it has no {lacking[0]}')
    known = inspect.signature(found).parameters
    if 'beta_schedule' not in known:
        raise _Unfit('it takes no beta_schedule')
    unknown = sorted(fields.keys() - known.keys())
    if unknown:
        raise ValueError(f'sampler has the unknown fields '
                         f'{", ".join(unknown)}: {kind} is built with ' +
                         ', '.join(known))
    # `from_config` skips fields that have the default of the scheduler's
    # class. The sampler's class may have another default, so all are given.
    noise = {
        key: scheduler.config[key]
        for key in _NOISE if key in known and key in scheduler.config
    }
    try:
        try:
            return found.from_config(scheduler.config, **{**noise, **fields})
        except NotImplementedError:
            # The sampler does not know this schedule by name, so it is given
            # the values.
            noise['trained_betas'] = scheduler.betas.tolist()
            noise.pop('beta_schedule')
            return found.from_config(scheduler.config, **{**noise, **fields})
    except (NotImplementedError, ValueError, TypeError) as error:
        raise _Unfit(str(error)) from error


def _compare(sampler: Any, scheduler: Any) -> None:
    """Refuse a sampler whose noise differs from that of the training."""
    if is_kind(sampler, _CONSISTENCY):
        raise _Unfit('it is for consistency models')
    if getattr(sampler, 'alphas_cumprod', None) is None:
        raise _Unfit('it has no alphas_cumprod')
    wanted, given = (s.alphas_cumprod for s in (scheduler, sampler))
    facts = [('num_train_timesteps', len(wanted), len(given))] + [
        (key, _setting(scheduler, key, usual), _setting(sampler, key, usual))
        for key, usual in _USUAL.items()
    ]
    for key, want, got in facts:
        if want != got:
            raise _Unfit(f'its {key} is {got}, that of the scheduler {want}')
    if wanted.is_meta or given.is_meta:
        return
    wanted, given = wanted.double().cpu(), given.double().cpu()
    worst = int((wanted - given).abs().argmax())
    # Some samplers have 2 ** -24 instead of 0, to divide by it.
    if not torch.allclose(wanted, given, rtol=1e-4, atol=1e-7):
        raise _Unfit(
            'its noise schedule is another: alphas_cumprod is '
            f'{given[worst]:.3g} at timestep {worst} and {given[-1]:.3g} at '
            f'the last, but {wanted[worst]:.3g} and {wanted[-1]:.3g} of the '
            'scheduler')


def _setting(scheduler: Any, key: str, usual: Any) -> Any:
    # A config may have fields that its class does not know and ignores.
    known = key in inspect.signature(type(scheduler)).parameters
    return scheduler.config[key] if known else usual


def _try_out(sampler: Any, scheduler: Any, steps: int) -> None:
    """Generate images with a perfect denoiser, whose images are known.

    In its data set all pixels of all images are 0.3. A sampler that fits the
    noise schedule generates such images. Some need more steps for that than
    ``steps``, so up to 50 are taken.
    """
    alphas, kind = scheduler.alphas_cumprod, scheduler.config.prediction_type
    if alphas.is_meta or kind not in PREDICTION_TYPES or \
            not 1 <= steps <= len(alphas):
        return  # `check_parts` refuses these
    sampler, known = copy.deepcopy(sampler), 0.3

    seen: List[Tensor] = []
    spreads: List[Tensor] = []

    def denoise(noisy: Tensor, t: Tensor) -> Tensor:
        seen.append(noisy[-1])
        left = _between(alphas, t)
        images = torch.full_like(noisy, known)
        noise = (noisy - left.sqrt() * images) / (1 - left).sqrt()
        spreads.append(noise.std())
        return target_of(kind, images, noise, left.view(1))

    def images_of(steps: int, *seeds: int) -> Tensor:
        seen.clear()
        spreads.clear()
        return generate(sampler, steps, denoise, seeds, (1, 8, 8),
                        alphas.device)

    try:
        # Some samplers draw noise from the global random state.
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            images = images_of(steps, 0, 1)
            beside = torch.stack(seen)
            images_of(steps, 1)
            alone = torch.stack(seen)
            if images.isfinite().all():
                enough = max(steps, min(_ENOUGH, len(alphas)))
                images = images_of(enough, 0)
    except Exception as error:
        raise _Unfit(f'it cannot generate images in {steps} steps '
                     f'({type(error).__name__}: {error})') from error
    if not (images - known).abs().max() < 0.05:
        raise _Unfit(
            f'of a denoiser that knows the images, all of brightness {known}, '
            f'it makes some of {images.min():.2f} to {images.max():.2f}')
    # The noise in the images should stay about as strong as in training, where
    # its standard deviation is 1. At first it may be a bit above.
    if max(spreads) > 3 * max(1, spreads[0]):
        raise _Unfit('it leaves more noise in the images than is in those of '
                     'the same timestep in training')
    if not torch.allclose(beside, alone, rtol=1e-3, atol=1e-3):
        raise _Unfit('what it adds on its way does not follow from the seed '
                     'of an image, but from the run or the rest of the batch')


def _between(alphas_cumprod: Tensor, t: Tensor) -> Tensor:
    """The value at a timestep, interpolated if it is no integer."""
    t = t.to(alphas_cumprod.dtype).clamp(0, len(alphas_cumprod) - 1)
    low, high = t.floor().long(), t.ceil().long()
    return alphas_cumprod[low].lerp(alphas_cumprod[high], t - low)


def _fitting(scheduler: Any, steps: int) -> List[str]:
    """Names of the samplers of diffusers that fit, for the message."""
    from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers
    names = []
    for member in KarrasDiffusionSchedulers:
        try:
            sampler = _build(dict(type=f'diffusers.{member.name}'), scheduler)
            _compare(sampler, scheduler)
            _try_out(sampler, scheduler, steps)
        except (ValueError, ImportError):
            continue
        names.append(member.name)
    return names or ['none']
