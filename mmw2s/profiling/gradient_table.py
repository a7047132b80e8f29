# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Measure the gradient of the full distillation for kinds of models."""
import copy
from statistics import median
from typing import Any, Dict, Iterator, List, Optional, Sequence, Union

import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import MessageHub
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import BaseDataElement
from torch import nn

from mmw2s.distillation.distiller import Distiller
from mmw2s.distillation.recipes import default_distill
from mmw2s.distillation.schedules import Constant
from mmw2s.distillation.teacher import FrozenTeacher
from mmw2s.distillation.terms import build_terms
from mmw2s.utils.init_cfg import loads_weights
from mmw2s.utils.read_config import read_packaged_config

__all__ = ['KINDS', 'measure', 'table']

#: One config for every kind of head that the defaults know.
KINDS = (
    'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py',
    'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py',
    'mmdet::atss/atss_r18_fpn_8xb8-amp-lsj-200e_coco.py',
    'mmdet::gfl/gfl_r50_fpn_1x_coco.py',
    'mmdet::paa/paa_r50_fpn_1x_coco.py',
    'mmdet::vfnet/vfnet_r50_fpn_1x_coco.py',
    'mmdet::tood/tood_r50_fpn_1x_coco.py',
    'mmdet::fsaf/fsaf_r50_fpn_1x_coco.py',
    'mmdet::foveabox/fovea_r50_fpn_4xb4-1x_coco.py',
    'mmdet::reppoints/reppoints-moment_r50_fpn_1x_coco.py',
    'mmdet::autoassign/autoassign_r50-caffe_fpn_1x_coco.py',
    'mmdet::centernet/centernet-update_r50_fpn_8xb8-amp-lsj-200e_coco.py',
    'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
    'mmdet::yolof/yolof_r50-c5_8xb8-1x_coco.py',
    'mmdet::yolox/yolox_tiny_8xb8-300e_coco.py',
    'mmdet::yolo/yolov3_mobilenetv2_8xb24-320-300e_coco.py',
    'mmdet::ssd/ssd300_coco.py',
    'mmdet::rpn/rpn_r50_fpn_1x_coco.py',
    'mmdet::faster_rcnn/faster-rcnn_r18_fpn_8xb8-amp-lsj-200e_coco.py',
    'mmdet::mask_rcnn/mask-rcnn_r18_fpn_8xb8-amp-lsj-200e_coco.py',
    'mmdet::cascade_rcnn/cascade-rcnn_r18_fpn_8xb8-amp-lsj-200e_coco.py',
    'mmdet::sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py',
    'mmdet::detr/detr_r50_8xb2-150e_coco.py',
    'mmdet::conditional_detr/conditional-detr_r50_8xb2-50e_coco.py',
    'mmdet::dab_detr/dab-detr_r50_8xb2-50e_coco.py',
    'mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py',
    'mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py',
    'mmdet::solo/solo_r50_fpn_1x_coco.py',
    'mmdet::solov2/solov2_r50_fpn_1x_coco.py',
    'mmdet::condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py',
    'mmpretrain::resnet/resnet18_8xb32_in1k.py',
    'mmpretrain::mobilenet_v2/mobilenet-v2_8xb32_in1k.py',
    'mmpretrain::vision_transformer/'
    'vit-base-p16_32xb128-mae_in1k.py',
)


def measure(config: Union[str, Config],
            distill: Optional[Sequence[dict]] = None,
            teacher: Optional[Union[str, dict]] = None,
            iters: int = 5,
            size: int = 256,
            batch: int = 2,
            seed: int = 0) -> Dict[str, dict]:
    """Measure the gradient of the distillation relative to the task's.

    Some first training steps are made. No data set is needed: the images are
    noise, with objects at random places.

    Args:
        config (str or Config): Config of the student.
        distill (list[dict], optional): As in the hook. Defaults to None, the
            ``'full'`` for this kind of model.
        teacher (str or dict, optional): As in the hook. Defaults to None: the
            same config with other random weights.
        iters (int): Number of measured steps, with AdamW and a learning rate
            of 1e-4. Defaults to 5.
        size (int): Height and width of the images. Defaults to 256.
        batch (int): Number of images in a step. Defaults to 2.
        seed (int): Seed of weights and images. Defaults to 0.

    Returns:
        dict[str, dict]: Name of the loss -> ``weight``, ``shares`` (one value
        a step, of the weighted loss at full strength) and ``by`` (whether the
        shares are of gradients or of losses).
    """
    cfg = config if isinstance(config, Config) else \
        read_packaged_config(config)
    with DefaultScope.overwrite_default_scope(
            cfg.get('default_scope', 'mmengine')):
        student = _build(cfg, seed).train()
        teacher = FrozenTeacher.from_cfg(
            teacher or dict(config=_without_pretrained(cfg), checkpoint=None))
        if teacher.checkpoint is None:
            torch.manual_seed(seed + 1)
            teacher.model.init_weights()
        terms = build_terms(distill or default_distill(
            student, teacher.model, full=True))
    shares: Dict[str, List[Any]] = {term.key: [] for term in terms}
    distiller = _Noting(student, teacher, terms, Constant(1.))
    distiller.bind(iters, iters)
    distiller.attach()
    MessageHub.get_current_instance().update_info('epoch', 0)  # of TOOD
    optimizer = torch.optim.AdamW(
        [p for p in student.parameters() if p.requires_grad], 1e-4)
    for i in range(iters):
        torch.manual_seed(seed + i)
        data = student.data_preprocessor(
            _inputs(student, size, batch, seed + i), True)
        distiller.step(i)
        losses = student(**data, mode='loss')
        for key, share in distiller.noted.items():
            shares[key].append(share)
        optimizer.zero_grad()
        student.parse_losses(losses)[0].backward()
        optimizer.step()
    distiller.remove()
    return {
        term.key:
        dict(
            weight='auto' if term.auto_weight else getattr(
                term.loss, 'loss_weight', None),
            shares=[share.value for share in shares[term.key]],
            by=', '.join(sorted({share.by
                                 for share in shares[term.key]})))
        for term in terms
    }


def table(configs: Sequence[str], **fields: Any) -> Iterator[str]:
    """Measure several configs; gives the lines of a Markdown table.

    Args:
        configs (Sequence[str]): Configs of students.
        **fields (Any): Arguments of :func:`measure`.
    """
    yield '| Config | Loss | Weight | First step | Median |'
    yield '|---|---|---|---|---|'
    for config in configs:
        name = config.split('/')[-1].replace('.py', '')
        try:
            found = measure(config, **fields)
        except Exception as error:  # go on with the other configs
            reason = ' '.join(str(error).split())[:120]
            yield f'| {name} | - | - | - | {type(error).__name__}: {reason} |'
            continue
        for key, row in found.items():
            values = row['shares'] or [float('nan')]
            yield (f'| {name} | {key[len("loss_kd_"):]} | {row["weight"]} | '
                   f'{values[0]:.3g} | {median(values):.3g} |')


class _Noting(Distiller):
    """A distiller that keeps the shares of the latest batch."""

    noted: dict = {}

    def _look_for_drowning(self, *losses: Any) -> None:
        self.noted = self.shares(*losses)


def _without_pretrained(cfg: Config) -> Config:
    """A copy of the config without pretrained weights to download."""

    def strip(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)(strip(item) for item in value)
        if not isinstance(value, dict):
            return value
        if loads_weights(value.get('init_cfg')):
            value = dict(value, init_cfg=None)
        if loads_weights(value.get('pretrained')):
            value = dict(value, pretrained=None)
        return ConfigDict({key: strip(item) for key, item in value.items()})

    cfg = copy.deepcopy(cfg)
    cfg.model = strip(cfg.model)
    if 'data_preprocessor' in cfg:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    # Augmentations of batches may need more than noise.
    cfg.model.data_preprocessor.pop('batch_augments', None)
    return cfg


def _build(cfg: Config, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = MODELS.build(_without_pretrained(cfg).model)
    model.init_weights()
    return model


def _inputs(student: nn.Module, size: int, batch: int, seed: int) -> dict:
    """A batch of noise with labels, in the form of a data loader's."""
    generator = torch.Generator().manual_seed(seed)
    if hasattr(student, 'bbox_head') or hasattr(student, 'rpn_head') or \
            hasattr(student, 'mask_head'):
        from mmdet.testing import demo_mm_inputs
        return demo_mm_inputs(
            batch, [(3, size, size)] * batch,
            num_items=[5] * batch,
            num_classes=2,
            with_mask=hasattr(student, 'mask_head')
            or getattr(student, 'with_mask', False))
    samples = []
    classes = getattr(getattr(student, 'head', None), 'num_classes', 2)
    for i in range(batch):
        sample = BaseDataElement(
            metainfo=dict(sample_idx=i, img_shape=(size, size)))
        sample.gt_label = torch.randint(classes, (1, ), generator=generator)
        samples.append(sample)
    images = torch.randint(
        256, (batch, 3, size, size), generator=generator, dtype=torch.uint8)
    return dict(inputs=list(images), data_samples=samples)
