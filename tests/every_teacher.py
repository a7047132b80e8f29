# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Whether a trained checkpoint of every family loads as a teacher.

``python tests/every_teacher.py mmdet`` (or mmpretrain) takes one config of
each combination of parts in the installed model zoo, builds it, trains a step
on made-up images where that can be done, saves its weights as MMEngine does,
and loads them as a teacher. It prints a line a config, then the counts. What
cannot be built here (language models that are downloaded) is listed as not
tried.
"""
import argparse
import copy
import multiprocessing
import os.path as osp
import tempfile
import time
import warnings
from collections import Counter
from glob import glob
from importlib import import_module

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner.checkpoint import save_checkpoint, weights_to_cpu
from torch import nn

from mmw2s.distillation import FrozenTeacher

_PARTS = ('backbone', 'neck', 'bbox_head', 'mask_head', 'roi_head', 'rpn_head',
          'panoptic_head', 'panoptic_fusion_head', 'semantic_head', 'head',
          'segm_head', 'mask_iou_head', 'detector', 'image_encoder', 'encoder',
          'decoder', 'module')
_SECONDS = 60


def families(package: str, only: str = '') -> dict:
    """Kinds of the parts -> the config of them whose path is shortest."""
    root = osp.join(
        osp.dirname(import_module(package).__file__), '.mim', 'configs')
    found = {}
    for path in sorted(
            glob(osp.join(root, '**', '*.py'), recursive=True),
            key=lambda path: (len(path), path)):
        if f'{osp.sep}_base_{osp.sep}' in path or only not in path:
            continue
        try:
            model = Config.fromfile(path, lazy_import=False).model
        except Exception:  # broken, of a package that is not here, no model
            continue
        found.setdefault(_kind(model), path)
    return found


def _kind(cfg) -> str:
    if isinstance(cfg, (list, tuple)):
        return '+'.join(dict.fromkeys(_kind(c) for c in cfg))
    if not isinstance(cfg, dict):
        return ''
    kind = cfg.get('type', '')
    kinds = [kind if isinstance(kind, str) else kind.__name__]
    kinds += [_kind(cfg[p]) for p in _PARTS if p in cfg]
    return ' '.join(filter(None, kinds))


def scatter(model: nn.Module) -> None:
    """Give every tensor values of its own, as training does."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            if value.is_floating_point():
                value.copy_(
                    torch.randn(value.shape, generator=generator) * 0.02)
        for name, value in model.named_buffers():
            if name.endswith(('running_mean', 'running_var')):
                value.copy_(torch.rand(value.shape, generator=generator) + 0.5)


def train_a_step(model: nn.Module, package: str) -> None:
    """Of made-up images; whatever goes wrong is raised."""
    model.train()
    if package == 'mmdet':
        from mmdet.testing import demo_mm_inputs
        data = demo_mm_inputs(
            2, [[3, 128, 128]] * 2, with_mask=True, with_semantic=True)
    else:
        from mmpretrain.structures import DataSample
        data = dict(
            inputs=[
                torch.randint(0, 255, (3, 224, 224), dtype=torch.uint8)
                for _ in range(2)
            ],
            data_samples=[DataSample().set_gt_label(i) for i in range(2)])
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    model.train_step(data, OptimWrapper(optimizer))


def try_one(package: str, path: str, step: bool = True) -> str:
    """What becomes of the checkpoint of one config, in a few words."""
    cfg = Config.fromfile(path, lazy_import=False)
    built = copy.deepcopy(cfg.model)
    if 'data_preprocessor' in cfg:
        built.setdefault('data_preprocessor', cfg.data_preprocessor)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(package):
        try:
            model = MODELS.build(built)
        except Exception as error:
            return f'not built ({type(error).__name__}: {str(error)[:60]})'
        scatter(model)
        how = 'loads'
        if step:
            try:
                train_a_step(model, package)
                how = 'loads after a step'
            except Exception:  # of another task, or without a loss
                pass
    with tempfile.TemporaryDirectory() as folder:
        file = osp.join(folder, 'epoch_1.pth')
        weights = weights_to_cpu(model.state_dict())
        save_checkpoint(dict(state_dict=weights, meta=dict()), file)
        del model
        teacher = FrozenTeacher(
            Config(
                dict(
                    model=cfg.model,
                    default_scope=package,
                    data_preprocessor=cfg.get('data_preprocessor'))), file)
    found = teacher.model.state_dict()
    differing = [
        key for key in found
        if key in weights and not torch.equal(found[key], weights[key])
    ]
    return f'DIFFERS: {differing[:3]}' if differing else how


def _answer(pipe, *args) -> None:
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    try:
        answer = try_one(*args)
    except Exception as error:
        answer = f'FAILS: {type(error).__name__}: {str(error)[:500]}'
    pipe.send(answer)


def tried(package: str, path: str, step: bool) -> str:
    """:func:`try_one` in a process of its own, with a limit of time."""
    context = multiprocessing.get_context('fork')
    receiver, sender = context.Pipe(False)
    process = context.Process(
        target=_answer, args=(sender, package, path, step))
    process.start()
    sender.close()
    try:
        answer = receiver.recv() if receiver.poll(_SECONDS) else None
    except EOFError:
        answer = 'not tried (the process died)'
    process.kill()
    process.join()
    if answer is None:
        return tried(package, path, False) if step else \
            f'not tried (more than {_SECONDS} s)'
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('package', choices=['mmdet', 'mmpretrain'])
    parser.add_argument('--no-step', action='store_true')
    parser.add_argument('--only', default='', help='part of a config\'s path')
    args = parser.parse_args()
    counts: Counter = Counter()
    with DefaultScope.overwrite_default_scope(args.package):
        MODELS.get('ResNet')  # imports the package once, before the forks
    for kind, path in families(args.package, args.only).items():
        began = time.perf_counter()
        answer = tried(args.package, path, not args.no_step)
        counts[answer.split(' (')[0].split(':')[0]] += 1
        print(
            f'{path.rpartition("/configs/")[2]} [{kind}]: {answer} '
            f'[{time.perf_counter() - began:.1f} s]',
            flush=True)
    print(dict(counts))


if __name__ == '__main__':
    main()
