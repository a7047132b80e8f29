# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Generating images by a scheduler of diffusers, and which of them fit."""
import copy
import inspect
from typing import Any, Callable, List, Sequence

import torch
from mmengine.registry import MODELS
from torch import Tensor

from mmw2s.utils.kinds import is_kind
from .fixed_noise import draw_noise, generators
from .parameterisation import KINDS, target_of

__all__ = ['build_sampler', 'generate']

# What says how noisy an image is at a timestep, and what is predicted.
_NOISE = ('num_train_timesteps', 'beta_start', 'beta_end', 'beta_schedule',
          'trained_betas', 'rescale_betas_zero_snr', 'prediction_type')
# Of classes that do not know them.
_USUAL = dict(
    prediction_type='epsilon',
    rescale_betas_zero_snr=False,
    use_flow_sigmas=False)
# Without one of these images can be brought to noise, or not be made of it.
_METHODS = ('from_config', 'set_timesteps', 'scale_model_input', 'step')
# Steps after which every sampler is near what the denoiser knows.
_ENOUGH = 50
# Of a denoiser its images are too much alike, in however many steps.
_CONSISTENCY = 'LCMScheduler'


def generate(sampler: Any, steps: int,
             denoise: Callable[[Tensor, Tensor], Tensor], seeds: Sequence[int],
             shape: Sequence[int], device: torch.device) -> Tensor:
    """An image of each seed, shape (len(seeds), *shape), in float32.

    Args:
        sampler (Any): A scheduler of :func:`build_sampler`.
        steps (int): How many.
        denoise (Callable): What the denoiser predicts for noisy images
            (B, C, H, W) and a timestep of shape ().
        seeds (Sequence[int]): The noise follows from them alone.
        shape (Sequence[int]): (C, H, W) of an image.
        device (torch.device): Where.
    """
    sampler.set_timesteps(steps, device=device)
    # What a sampler adds on its way follows what it began with.
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
    """A sampler with the noise schedule of ``scheduler``.

    Args:
        cfg (dict): Its config.
        scheduler (Any): What the model is trained with.
        steps (int): In how many steps images are generated.

    Raises:
        ValueError: If it is not for noise of that kind, cannot have that
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
    """Why a sampler is not for a noise schedule."""


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
    # `from_config` alone leaves out what has the default of the scheduler's
    # class: the sampler's class may have another.
    noise = {
        key: scheduler.config[key]
        for key in _NOISE if key in known and key in scheduler.config
    }
    try:
        try:
            return found.from_config(scheduler.config, **{**noise, **fields})
        except NotImplementedError:  # a schedule that it cannot compute
            noise['trained_betas'] = scheduler.betas.tolist()
            noise.pop('beta_schedule')
            return found.from_config(scheduler.config, **{**noise, **fields})
    except (NotImplementedError, ValueError, TypeError) as error:
        raise _Unfit(str(error)) from error


def _compare(sampler: Any, scheduler: Any) -> None:
    """Refuse what differs from the schedule of the training."""
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
    # Where nothing should be left, some leave 2 ** -24 to divide by.
    if not torch.allclose(wanted, given, rtol=1e-4, atol=1e-7):
        raise _Unfit(
            'its noise schedule is another: alphas_cumprod is '
            f'{given[worst]:.3g} at timestep {worst} and {given[-1]:.3g} at '
            f'the last, but {wanted[worst]:.3g} and {wanted[-1]:.3g} of the '
            'scheduler')


def _setting(scheduler: Any, key: str, usual: Any) -> Any:
    # The config also has what the class does not know, and ignores.
    known = key in inspect.signature(type(scheduler)).parameters
    return scheduler.config[key] if known else usual


def _try_out(sampler: Any, scheduler: Any, steps: int) -> None:
    """Generate images that are all of one brightness, which is known.

    A denoiser that knows the images gives them by every sampler of this
    noise. Some need more steps for that than they are wanted to take.
    """
    alphas, kind = scheduler.alphas_cumprod, scheduler.config.prediction_type
    if alphas.is_meta or kind not in KINDS or not 1 <= steps <= len(alphas):
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
        # Some draw from the run's random numbers.
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
    # It begins with a bit more noise than a schedule may end with.
    if max(spreads) > 3 * max(1, spreads[0]):
        raise _Unfit('it leaves more noise in the images than is in those of '
                     'the same timestep in training')
    if not torch.allclose(beside, alone, rtol=1e-3, atol=1e-3):
        raise _Unfit('what it adds on its way does not follow from the seed '
                     'of an image, but from the run or the rest of the batch')


def _between(alphas: Tensor, t: Tensor) -> Tensor:
    """``alphas`` at a timestep that may be between two."""
    t = t.to(alphas.dtype).clamp(0, len(alphas) - 1)
    low, high = t.floor().long(), t.ceil().long()
    return alphas[low].lerp(alphas[high], t - low)


def _fitting(scheduler: Any, steps: int) -> List[str]:
    """Names of the usual samplers that fit."""
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
