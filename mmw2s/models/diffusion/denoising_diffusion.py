# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import re
from typing import Any, List, Optional, Sequence, Tuple, Union

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor

from mmw2s.utils.versions import require
from .checks import check_parts
from .fixed_noise import fixed_noise, fixed_timesteps
from .prediction_type import convert, min_snr_weight, target_of
from .sampler import build_sampler, generate

__all__ = ['DenoisingDiffusion']


@MODELS.register_module()
class DenoisingDiffusion(BaseModel):
    """A diffusion model of images, `DDPM <https://arxiv.org/abs/2006.11239>`_.

    The denoiser and the noise schedule are classes of diffusers, named by
    their path, as in ``dict(type='diffusers.UNet2DModel', ...)``. A denoiser
    of your own needs the same call and ``config`` as ``UNet2DModel``. A model
    with ``num_classes`` is conditional on the class.

    The forward takes images (B, C, H, W) in [-1, 1]. It has these modes:

    - ``'loss'``: the mean squared error of the prediction at random timesteps.
      The ``prediction_type`` of the scheduler says what is predicted:
      ``'epsilon'``, ``'sample'`` or ``'v_prediction'``.
    - ``'predict'``: each data sample gets ``denoising_error``, the mean
      squared error of the noise, a scalar. Its timestep and noise depend only
      on ``sample_idx`` of the data sample, so they are the same for every
      model. A data sample with a ``sample_seed`` also gets ``generated``, an
      image made from that seed (uint8, shape (C, H, W)), and ``sampler``, the
      name of the sampler.
    - ``'tensor'``: the prediction at random timesteps, shape (B, C, H, W).

    Args:
        denoiser (dict): Config of the denoiser.
        scheduler (dict): Config of the noise schedule, a
            ``diffusers.DDPMScheduler``. Defaults to that class's defaults: a
            linear schedule of 1,000 timesteps.
        sampler (dict): Config of the scheduler that generates images. Its
            noise schedule is that of ``scheduler``.
            Defaults to ``dict(type='diffusers.DDIMScheduler')``.
        sampling_steps (int): Number of steps that generate an image, at most
            the number of timesteps. Defaults to 50.
        num_classes (int, optional): Number of classes of a conditional model.
            Defaults to None.
        class_dropout (float): Share of the labels that training replaces by
            an extra class, which stands for "no class". Defaults to 0.
        guidance_scale (float): Scale of `classifier-free guidance
            <https://arxiv.org/abs/2207.12598>`_. Values other than 1 need a
            ``class_dropout`` and take a second forward in each step.
            Defaults to 1, no guidance.
        min_snr_gamma (float, optional): Gamma of the weights of the loss,
            :func:`~.prediction_type.min_snr_weight`. Defaults to None, no
            weights.
        data_preprocessor (dict): Config of the data preprocessor, which has to
            bring images to [-1, 1]. The default does so for uint8 images.
        init_cfg (dict, optional): As in MMEngine. Defaults to None.

    Raises:
        ImportError: If diffusers is not installed.
        ValueError: If the parts do not fit each other; from :meth:`forward`,
            if the images do not fit the denoiser.

    Examples:
        >>> model = dict(
        >>>     type='DenoisingDiffusion',
        >>>     denoiser=dict(
        >>>         type='diffusers.UNet2DModel',
        >>>         sample_size=32, in_channels=3, out_channels=3))
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
            # Every block of a DiT drops labels on its own. The teacher would
            # not see which, so labels are dropped in `forward` alone.
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
        """What the denoiser predicts, one of ``PREDICTION_TYPES``."""
        return self.scheduler.config.prediction_type

    @property
    def sampler_name(self) -> str:
        """Sampler, steps and guidance, such as ``'ddim50_cfg1.5'``."""
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
        """Run the model in one of the modes that the class documents.

        Args:
            inputs (Tensor): Images in [-1, 1], shape (B, C, H, W).
            data_samples (list, optional): One data sample an image, with
                ``gt_label`` if the model is conditional.
            mode (str): ``'loss'``, ``'predict'`` or ``'tensor'``.

        Raises:
            ValueError: If the images do not fit the denoiser, labels are
                missing or out of range, or the mode is unknown.
        """
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
        """The prediction of the denoiser.

        Args:
            noisy (Tensor): Noisy images, shape (B, C, H, W).
            t (Tensor): Timesteps, shape (B, ).
            labels (Tensor, optional): Classes, shape (B, ).

        Returns:
            Tensor: Shape (B, C, H, W).
        """
        # Positional arguments, because a forward hook is not given keywords.
        return self.denoiser(noisy, t, labels, return_dict=False)[0]

    @torch.no_grad()
    def predict(self, inputs: Tensor, data_samples: list) -> list:
        """Evaluate images and generate the ones that are asked for.

        Args:
            inputs (Tensor): Images in [-1, 1], shape (B, C, H, W).
            data_samples (list): One data sample an image, with
                ``sample_idx``.

        Returns:
            list: The data samples, filled in as the class documents.

        Raises:
            ValueError: If a data sample has no ``sample_idx``.
        """
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
        # Copies, because pickling a view writes the whole batch.
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
        # With class_dropout the denoiser has an extra class, so a label that
        # is too large by one would pass it. This look-up refuses it without
        # waiting for the device.
        known = torch.arange(self.num_classes, device=labels.device)
        try:
            return known.index_select(0, labels)
        except IndexError:  # on a CPU; on a GPU a device assertion fails
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

        An image depends on its seed, not on the rest of the batch. On another
        device it may differ by rounding. The run's random state is not used.

        Args:
            seeds (Sequence[int]): One seed an image.
            labels (Tensor or list[int], optional): Classes of the images,
                shape (len(seeds), ). Defaults to None: in a conditional model
                the class is the seed modulo the number of classes.

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
            lambda noisy, t: self._guided(noisy, t.expand(len(noisy)), labels),
            seeds, self.image_shape, device)
        return (images * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)

    def _guided(self, noisy: Tensor, t: Tensor,
                labels: Optional[Tensor]) -> Tensor:
        prediction = self.denoise(noisy, t, labels)
        if self.guidance_scale == 1:
            return prediction
        free = self.denoise(noisy, t,
                            labels.new_full(labels.shape, self.num_classes))
        return free + self.guidance_scale * (prediction - free)

    def save_pretrained(self, folder: str) -> None:
        """Save denoiser and scheduler in the format of diffusers.

        Every denoiser can be loaded by its class's
        ``from_pretrained(folder, subfolder='unet')``. With a ``UNet2DModel``,
        ``DDPMPipeline.from_pretrained(folder)`` loads everything.

        Args:
            folder (str): Folder to write to.
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
