# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import re
from typing import Any, List, Optional, Sequence, Tuple, Union

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor

from mmw2s.compatibility import require
from .checks import check_parts
from .fixed_noise import fixed_noise, fixed_timesteps
from .parameterisation import convert, min_snr_weight, target_of
from .sampler import build_sampler, generate

__all__ = ['DenoisingDiffusion']


@MODELS.register_module()
class DenoisingDiffusion(BaseModel):
    """A diffusion model of images, `DDPM <https://arxiv.org/abs/2006.11239>`_.

    The denoiser and the noise schedule are components of diffusers, named by
    their path, as in ``dict(type='diffusers.UNet2DModel', ...)``; a
    denoiser of one's own needs the call and the ``config`` of that one. With
    a label a sample it is conditional on the class.

    The modes of the forward, which takes images of shape (B, C, H, W) in
    [-1, 1]:

    - ``'loss'``: at random timesteps, the mean squared error of what the
      scheduler's ``prediction_type`` names (``'epsilon'``, ``'sample'``,
      ``'v_prediction'``).
    - ``'predict'``: each data sample gets ``denoising_error``, the mean
      squared error of the noise, at a timestep and with noise that follow
      from its ``sample_idx``: the same for every model. Where it has a
      ``sample_seed``, an image is generated from that seed: ``generated``,
      uint8 of shape (C, H, W), and ``sampler``, how it was made.
    - ``'tensor'``: what the denoiser gives, at random timesteps.

    Args:
        denoiser (dict): Config of the denoiser.
        scheduler (dict): Config of the noise schedule, a
            ``diffusers.DDPMScheduler``. Defaults to its own defaults, a
            linear one of 1,000 steps.
        sampler (dict): Config of the scheduler that images are generated
            with. It takes over the noise schedule.
            Defaults to ``dict(type='diffusers.DDIMScheduler')``.
        sampling_steps (int): Its steps, at most those of the schedule.
            Defaults to 50.
        num_classes (int, optional): Of a conditional model. Defaults to None.
        class_dropout (float): Share of the labels that are replaced in
            training by one more class, which stands for none. Defaults to 0.
        guidance_scale (float): How far images are generated away from what
            is predicted without a class (`classifier-free guidance
            <https://arxiv.org/abs/2207.12598>`_), which takes a second
            forward. It needs a ``class_dropout``. Defaults to 1: not at all.
        min_snr_gamma (float, optional): Weight the loss by
            :func:`~.parameterisation.min_snr_weight`. Defaults to None.
        data_preprocessor (dict): It should bring images to [-1, 1], which the
            default does for images of 8 bits.
        init_cfg (dict, optional): As in MMEngine. Defaults to None.

    Raises:
        ImportError: If diffusers is not installed.
        ValueError: If the parts do not fit each other, or in a forward if
            the images do not fit the denoiser.
    """

    def __init__(self,
                 denoiser: dict,
                 scheduler: dict = dict(type='diffusers.DDPMScheduler'),
                 sampler: dict = dict(type='diffusers.DDIMScheduler'),
                 sampling_steps: int = 50,
                 num_classes: Optional[int] = None,
                 class_dropout: float = 0.,
                 guidance_scale: float = 1.,
                 min_snr_gamma: Optional[float] = None,
                 data_preprocessor: dict = dict(
                     type='ImgDataPreprocessor', mean=[127.5], std=[127.5]),
                 init_cfg: Optional[dict] = None) -> None:
        require('diffusers', 'diffusion', 'DenoisingDiffusion')
        super().__init__(data_preprocessor, init_cfg)
        self.denoiser = MODELS.build(denoiser)
        for module in self.denoiser.modules():
            # Every block of a DiT drops labels by itself, unseen by a teacher.
            if type(module).__name__ == 'LabelEmbedding':
                module.dropout_prob = 0.
        self.scheduler = MODELS.build(scheduler)
        self.num_classes = num_classes
        self.class_dropout = class_dropout
        self.guidance_scale = guidance_scale
        self.min_snr_gamma = min_snr_gamma
        self.sampling_steps = sampling_steps
        self.sampler = build_sampler(sampler, self.scheduler, sampling_steps)
        self.register_buffer(
            'alphas_cumprod', self.scheduler.alphas_cumprod, persistent=False)
        check_parts(self)

    @property
    def image_shape(self) -> Tuple[int, int, int]:
        """Channels, height and width of the images."""
        config = self.denoiser.config
        size = config.sample_size
        size = (size, size) if isinstance(size, int) else tuple(size)
        return (config.in_channels, *size)

    @property
    def prediction_type(self) -> str:
        """What the denoiser predicts."""
        return self.scheduler.config.prediction_type

    @property
    def sampler_name(self) -> str:
        """How images are generated, as in ``'ddim50_cfg1.5'``."""
        name = re.sub('(Multistep|Singlestep)?Scheduler$', '',
                      type(self.sampler).__name__)
        guided = '' if self.guidance_scale == 1 else \
            f'_cfg{self.guidance_scale:g}'
        return f'{name.lower()}{self.sampling_steps}{guided}'

    # -- the forward -----------------------------------------------------

    def forward(self,
                inputs: Tensor,
                data_samples: Optional[list] = None,
                mode: str = 'tensor') -> Any:
        """See the class."""
        if inputs.shape[1:] != self.image_shape:
            raise ValueError(
                f'the denoiser is for images of {_size(self.image_shape)}, '
                f'but got {_size(inputs.shape[1:])}: bring the data to its '
                'in_channels and sample_size, or change those')
        if mode == 'predict':
            return self.predict(inputs, data_samples or [])
        labels = self._labels(data_samples)
        if mode == 'loss' and self.class_dropout:
            dropped = torch.rand_like(labels, dtype=torch.float)
            labels = labels.where(dropped >= self.class_dropout,
                                  self.num_classes)
        noise = torch.randn_like(inputs)
        t = torch.randint(
            len(self.alphas_cumprod), (len(inputs), ), device=inputs.device)
        prediction = self.denoise(
            self.scheduler.add_noise(inputs, noise, t), t, labels)
        if mode == 'tensor':
            return prediction
        if mode != 'loss':
            raise ValueError('mode should be "loss", "predict" or "tensor", '
                             f'but got {mode!r}')
        alphas = self.alphas_cumprod[t]
        target = target_of(self.prediction_type, inputs, noise, alphas)
        error = (prediction.float() - target).square()
        if self.min_snr_gamma is not None:
            error = error * min_snr_weight(alphas, self.min_snr_gamma,
                                           self.prediction_type)
        return dict(loss_denoising=error.mean())

    def denoise(self,
                noisy: Tensor,
                t: Tensor,
                labels: Optional[Tensor] = None) -> Tensor:
        """What the denoiser predicts, shape (B, C, H, W).

        Args:
            noisy (Tensor): Noisy images, shape (B, C, H, W).
            t (Tensor): Timesteps, shape (B, ).
            labels (Tensor, optional): Classes, shape (B, ).
        """
        # By position, so that a forward hook sees all of it.
        return self.denoiser(noisy, t, labels, return_dict=False)[0]

    @torch.no_grad()
    def predict(self, inputs: Tensor, data_samples: list) -> list:
        """Fill in the data samples, see the class."""
        if len(data_samples) != len(inputs) or any('sample_idx' not in s
                                                   for s in data_samples):
            raise ValueError(
                'images are evaluated at noise that follows from their '
                'number, but the data samples have no sample_idx: pack them '
                'with PackImage')
        index = [sample.sample_idx for sample in data_samples]
        noise = fixed_noise(index, self.image_shape).to(inputs)
        t = fixed_timesteps(index, len(self.alphas_cumprod)).to(inputs.device)
        noisy = self.scheduler.add_noise(inputs, noise, t)
        prediction = self.denoise(noisy, t, self._labels(data_samples))
        found = convert(prediction, noisy, self.alphas_cumprod[t],
                        self.prediction_type, 'epsilon')
        errors = (found.float() - noise).square().flatten(1).mean(1)
        # Copies: whoever pickles a view writes the whole batch.
        for sample, error in zip(data_samples, errors):
            sample.denoising_error = error.clone()
        asked = [s for s in data_samples if 'sample_seed' in s]
        if asked:
            images = self.sample([s.sample_seed for s in asked],
                                 self._labels(asked))
            for sample, image in zip(asked, images):
                sample.generated = image.clone()
                sample.sampler = self.sampler_name
        return data_samples

    def _labels(self, data_samples: Optional[list]) -> Optional[Tensor]:
        if self.num_classes is None:
            return None
        if not data_samples or any('gt_label' not in s for s in data_samples):
            raise ValueError(
                'the model is conditional on the class (num_classes='
                f'{self.num_classes}), but the data have no gt_label')
        labels = torch.cat([sample.gt_label for sample in data_samples])
        # The denoiser knows one class more with a class_dropout. That one must
        # fail as others beyond do, for which a look-up needs no device sync.
        known = torch.arange(self.num_classes, device=labels.device)
        try:
            return known.index_select(0, labels)
        except IndexError:  # a GPU has an assertion of its own
            raise ValueError(
                f'gt_label should be 0 to {self.num_classes - 1}, for '
                f'num_classes is {self.num_classes}, but the data have '
                f'{labels.min()} to {labels.max()}: give num_classes (and the '
                'denoiser) as many as the data have') from None

    # -- generating ------------------------------------------------------

    @torch.no_grad()
    def sample(self,
               seeds: Sequence[int],
               labels: Optional[Union[Tensor, List[int]]] = None) -> Tensor:
        """Generate an image from each seed.

        An image follows from its seed, whatever else is in the batch; on
        another device up to rounding. The run's random numbers are left
        alone.

        Args:
            seeds (Sequence[int]): One an image.
            labels (Tensor or list[int], optional): Their classes. Defaults to
                None, which gives a conditional model seed modulo classes.

        Returns:
            Tensor: uint8, shape (len(seeds), C, H, W), in the order of
            channels that the model is trained in.
        """
        device = self.alphas_cumprod.device
        if labels is None and self.num_classes is not None:
            labels = [seed % self.num_classes for seed in seeds]
        if labels is not None:
            labels = torch.as_tensor(labels, device=device)
        images = generate(
            self.sampler, self.sampling_steps,
            lambda noisy, t: self.guided(noisy, t.expand(len(noisy)), labels),
            seeds, self.image_shape, device)
        return (images * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)

    def guided(self, noisy: Tensor, t: Tensor,
               labels: Optional[Tensor]) -> Tensor:
        """What is sampled from: away from the prediction without a class.

        Args:
            noisy (Tensor): Noisy images, shape (B, C, H, W).
            t (Tensor): Their timesteps, shape (B, ).
            labels (Tensor, optional): Their classes, shape (B, ).
        """
        prediction = self.denoise(noisy, t, labels)
        if self.guidance_scale == 1:
            return prediction
        free = self.denoise(noisy, t,
                            labels.new_full(labels.shape, self.num_classes))
        return free + self.guidance_scale * (prediction - free)

    def save_pretrained(self, folder: str) -> None:
        """Write denoiser and scheduler as diffusers reads them.

        A ``UNet2DModel`` can be opened as a whole, by
        ``DDPMPipeline.from_pretrained(folder)``, and every denoiser by
        ``from_pretrained(folder, subfolder='unet')`` of its class.
        """
        from diffusers import DDPMPipeline, UNet2DModel
        if isinstance(self.denoiser, UNet2DModel):
            pipeline = DDPMPipeline(self.denoiser, self.scheduler)
            pipeline.save_pretrained(folder)
        else:
            self.denoiser.save_pretrained(f'{folder}/unet')
            self.scheduler.save_pretrained(f'{folder}/scheduler')


def _size(shape: Sequence[int]) -> str:
    return f'{shape[0]} x ' + ' x '.join(map(str, shape[1:]))
