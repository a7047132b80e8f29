# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What ``distill='full'`` does for every algorithm of an installed zoo.

``python tests/every_algorithm.py mmdet`` (or mmpretrain, mmseg) takes one
config of each algorithm, builds it twice, as student and as teacher, with
random weights, and trains two iterations on made-up images. It prints a line
an algorithm, then the counts; with ``--out FILE`` it writes them for the table
in ``docs/results/zoo.md``, and goes on where an earlier call with that file
was ended. A few models need what cannot be made up (language models,
proposals, video): these are listed as not tried.
"""
import argparse
import copy
import json
import multiprocessing
import os.path as osp
import re
import time
import warnings
from collections import Counter
from glob import glob
from importlib import import_module
from typing import Optional

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import set_random_seed
from mmengine.structures import InstanceData, PixelData

from mmw2s.distillation import FrozenTeacher
from mmw2s.distillation.distiller import Distiller
from mmw2s.distillation.loss_looks import LossLooks
from mmw2s.distillation.recipes import default_distill
from mmw2s.distillation.terms import build_terms
from mmw2s.registry import SCHEDULES

# What tells one algorithm from another; a backbone does for a classifier.
_PARTS = dict(
    mmdet=('neck', 'bbox_head', 'mask_head', 'roi_head', 'rpn_head',
           'panoptic_head', 'semantic_head', 'head', 'segm_head',
           'mask_iou_head', 'detector'),
    mmpretrain=('backbone', 'neck', 'head', 'image_encoder'),
    mmseg=('backbone', 'neck', 'decode_head'))
_SECONDS = 600
# Of a detector's images; a few need a coarsest level of 3 x 3.
_SIDES = 128, 320
# Models that learn from masks.
_MASKS = re.compile('[Mm]ask|Ins|SOLO|YOLACT')
# Of one architecture a smaller model is tried where there is one.
_LARGE = re.compile(r'large|huge|giant|101|152|[-_](l|x|g|h)[-_\d]|headless')


def algorithms(package: str) -> dict:
    """A config of each algorithm, the one whose path is shortest."""
    root = osp.join(
        osp.dirname(import_module(package).__file__), '.mim', 'configs')
    found = {}
    for path in sorted(
            glob(osp.join(root, '**', '*.py'), recursive=True),
            key=lambda path: (bool(_LARGE.search(path)), len(path), path)):
        if f'{osp.sep}_base_{osp.sep}' in path:
            continue
        try:
            model = Config.fromfile(path, lazy_import=False).model
        except Exception:  # broken, of a package that is not here, no model
            continue
        found.setdefault(
            _kind(model, _PARTS[package]), osp.relpath(path, root))
    return found


def _kind(cfg, parts) -> str:
    if isinstance(cfg, (list, tuple)):
        return '+'.join(dict.fromkeys(_kind(c, parts) for c in cfg))
    if not isinstance(cfg, dict):
        return ''
    kind = cfg.get('type', '')
    kinds = [kind if isinstance(kind, str) else kind.__name__]
    kinds += [_kind(cfg[p], parts) for p in parts if p in cfg]
    return ' '.join(filter(None, kinds))


def prepare(package: str) -> None:
    """Register the models of a package, and what some losses ask for."""
    import_module(f'{package}.models')
    if package == 'mmdet':
        import_module('mmdet.utils').register_all_modules()
    elif package == 'mmseg':  # its Mask2Former is mmdet's
        import_module('mmdet.models')
    MMLogger.get_instance('quiet', log_level='ERROR')
    hub = MessageHub.get_current_instance()
    for key, value in dict(epoch=0, iter=0, max_epochs=1, max_iters=9).items():
        hub.update_info(key, value)


def try_one(package: str, path: str) -> str:
    """What becomes of a step of an algorithm, in a few words."""
    for side in _SIDES:
        said = _try_at(package, path, side)
        if package != 'mmdet' or 'RuntimeError' not in said:
            break
    return said


def _try_at(package: str, path: str, side: int) -> str:
    set_random_seed(0)  # an untrained model fails on some images
    root = osp.dirname(import_module(package).__file__)
    cfg = Config.fromfile(
        osp.join(root, '.mim', 'configs', path), lazy_import=False)
    cfg.default_scope = package
    _without_weights(cfg.model)
    if 'data_preprocessor' in cfg:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    if package == 'mmseg':  # pads images to a crop's size
        cfg.model.data_preprocessor.size = (side, side)
    try:
        with DefaultScope.overwrite_default_scope(package):
            student = MODELS.build(copy.deepcopy(cfg.model))
        student.init_weights()
        for weight in student.parameters():  # TridentNet's are bare memory
            if not weight.abs().max() < 100:
                torch.nn.init.normal_(weight, std=0.01)
        # Some models get aliases of their weights when they are trained.
        weights = copy.deepcopy(student.state_dict())
        student.train()
        _losses(student, _batch(package, student, cfg, side))
    except Exception as error:
        return f'not tried: {_short(error)}'
    teacher = FrozenTeacher(cfg, checkpoint=None)
    # SwinTransformerV2 hides some names.
    teacher.model.load_state_dict(weights, strict=False)
    try:
        terms = build_terms(
            default_distill(student, teacher.model, full=True))
        distiller = Distiller(student, teacher, terms,
                              SCHEDULES.build(dict(type='Constant', value=1)))
        distiller.bind(100, 10)
    except ValueError as error:
        return f'refused: {_short(error, 400)}'
    distiller.attach()
    optimizer = torch.optim.SGD(student.parameters(), lr=1e-4)
    for iteration in range(2):
        distiller.step(iteration)
        try:
            losses = _losses(student, _batch(package, student, cfg, side))
            total, _ = student.parse_losses(losses)
            optimizer.zero_grad()
            total.backward()
        except Exception as error:
            return (f'FAILED in iteration {iteration + 1}: '
                    f'{_short(error, 400)}')
        # An untrained model may have gradients without bounds.
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.)
        optimizer.step()
    names = [key[8:] for key in losses if key.startswith('loss_kd_')]
    said = f'works: {", ".join(names)}'
    distiller.step(0, strength=0.)
    LossLooks(distiller, 1)
    try:  # some models change their data samples, so these are new
        _losses(student, _batch(package, student, cfg, side))
    except ValueError as error:
        return f'{said}; no training losses: {_short(error)}'
    except Exception as error:
        return f'{said}; FAILED in training losses: {_short(error)}'
    return said


def _without_weights(cfg) -> None:
    """Take out of a config what would load or fetch weights."""
    if isinstance(cfg, dict):
        if 'Pretrained' in str(cfg.get('init_cfg')):
            cfg['init_cfg'] = None
        if cfg.get('pretrained') is not None:
            cfg['pretrained'] = None
        cfg = cfg.values()
    elif not isinstance(cfg, (list, tuple)):
        return
    for value in cfg:
        _without_weights(value)


def _losses(model, made):
    data = model.data_preprocessor(made, True)
    return model(data['inputs'], data['data_samples'], mode='loss')


def _batch(package: str, model, cfg, side: int) -> dict:
    torch.manual_seed(0)
    if package == 'mmdet':
        from mmdet.testing import demo_mm_inputs
        size = [_find(cfg.model, 'input_size') or side] * 2
        with_rpn = any('rpn' in name for name, _ in model.named_modules())
        made = demo_mm_inputs(
            2, (3, *size), [3, 3],
            num_classes=max(min(_classes(model), 10), 2),
            with_mask=bool(_MASKS.search(str(cfg.model))),
            with_semantic=True,
            sem_seg_output_strides=_stride(cfg.model))
        for sample in made['data_samples']:
            sample.ignored_instances = InstanceData(
                bboxes=torch.zeros(0, 4),
                labels=torch.zeros(0, dtype=torch.long),
                **({
                    'masks': sample.gt_instances.masks[[]]
                } if 'masks' in sample.gt_instances else {}))
            if not with_rpn:
                sample.proposals = InstanceData(
                    bboxes=sample.gt_instances.bboxes + 3.,
                    scores=torch.ones(3))
        return made
    if package == 'mmseg':
        return _segmented(model, side)
    from mmpretrain.structures import DataSample
    size = _find(cfg.model, 'img_size') or _crop(cfg) or 224
    size = size if isinstance(size, (tuple, list)) else (size, size)
    classes = _classes(model)
    samples = [DataSample().set_gt_label(i % classes) for i in range(2)]
    channels = 3
    if 'LeNet' in str(cfg.model):
        channels, size = 1, (32, 32)
    if 'MultiLabel' in str(cfg.model):
        for sample in samples:
            sample.set_gt_score(torch.eye(classes)[0])
    inputs = [
        torch.randint(0, 255, (channels, *size), dtype=torch.uint8)
        for _ in samples
    ]
    return dict(inputs=inputs, data_samples=samples)


def _segmented(model, side: int) -> dict:
    from mmseg.structures import SegDataSample
    size, samples = (side, side), []
    for _ in range(2):
        labels = torch.randint(_classes(model), (1, *size))
        edges = torch.randint(2, (1, *size))  # some heads learn them
        samples.append(
            SegDataSample(
                metainfo=dict(img_shape=size, ori_shape=size),
                gt_sem_seg=PixelData(data=labels),
                gt_edge_map=PixelData(data=edges)))
    inputs = [
        torch.randint(0, 255, (3, *size), dtype=torch.uint8) for _ in samples
    ]
    return dict(inputs=inputs, data_samples=samples)


def _classes(model) -> int:
    return max((module.num_classes for module in model.modules()
                if isinstance(getattr(module, 'num_classes', None), int)),
               default=2)


def _stride(cfg) -> int:
    """Of the semantic maps that a model learns from."""
    return 8 if re.match('HybridTaskCascade|SCNet', str(cfg.type)) else 1


def _find(cfg, field):
    """The first value of a field at any depth of a config."""
    if isinstance(cfg, dict):
        if field in cfg:
            return cfg[field]
        cfg = cfg.values()
    elif not isinstance(cfg, (list, tuple)):
        return None
    return next((found for found in (_find(c, field) for c in cfg) if found),
                None)


def _crop(cfg):
    for step in reversed(cfg.get('train_pipeline', [])):
        if 'Crop' in str(step.get('type')):
            return step.get('scale', step.get('crop_size'))


def _short(error: Exception, most: int = 120) -> str:
    return f'{type(error).__name__}: {error}'.replace('\n', ' ')[:most]


def _in_a_process(package: str, path: str) -> str:
    parent, child = multiprocessing.get_context('fork').Pipe()

    def work():
        warnings.simplefilter('ignore')
        torch.set_num_threads(1)
        try:
            child.send(try_one(package, path))
        except BaseException as error:
            child.send(f'FAILED: {_short(error)}')

    process = multiprocessing.get_context('fork').Process(target=work)
    process.start()
    said = parent.recv() if parent.poll(_SECONDS) else 'not tried: too slow'
    process.kill()
    process.join()
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('package', choices=sorted(_PARTS))
    parser.add_argument(
        '--only', nargs='*', default=[''], help='parts of paths')
    parser.add_argument('--out', help='a JSON file for the results')
    args = parser.parse_args()
    prepare(args.package)
    versions = {
        name: import_module(name).__version__
        for name in ('torch', 'mmengine', 'mmcv', args.package)
    }
    rows = _rows_of(args.out, versions)
    done = {row['config'] for row in rows}
    for kind, path in algorithms(args.package).items():
        if path in done or not any(part in path for part in args.only):
            continue
        began = time.time()
        said = _in_a_process(args.package, path)
        print(
            f'{path} | {kind} | {said} | {time.time() - began:.0f} s',
            flush=True)
        rows.append(dict(config=path, kind=kind, said=said))
        if args.out:
            content = dict(
                package=args.package,
                versions=versions,
                counts=_counts(rows),
                algorithms=rows)
            with open(args.out, 'w', encoding='utf-8') as file:
                json.dump(content, file, indent=1)
                file.write('\n')
    print(_counts(rows))


def _rows_of(file: Optional[str], versions: dict) -> list:
    """What an earlier call that was ended has found, to go on from there."""
    if not file or not osp.exists(file):
        return []
    with open(file, encoding='utf-8') as stream:
        content = json.load(stream)
    return content['algorithms'] if content['versions'] == versions else []


def _counts(rows: list) -> dict:
    return dict(Counter(row['said'].split(':')[0] for row in rows))


if __name__ == '__main__':
    main()
