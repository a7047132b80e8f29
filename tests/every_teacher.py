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
import resource
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
from mmw2s.distillation.strict_loading import load_strictly
from mmw2s.distillation.teacher_config import without_downloads

_PARTS = ('backbone', 'neck', 'bbox_head', 'mask_head', 'roi_head', 'rpn_head',
          'panoptic_head', 'panoptic_fusion_head', 'semantic_head', 'head',
          'segm_head', 'mask_iou_head', 'detector', 'image_encoder', 'encoder',
          'decoder', 'module')
_SECONDS = 60
_BYTES = 9 << 30  # of address space: the largest models are left out


def families(package: str, only: str = '', most: int = 2) -> dict:
    """Kinds of the parts -> the config of them whose path is shortest.

    Args:
        package (str): mmdet or mmpretrain.
        only (str): Part of a config's path. Defaults to '', all.
        most (int): Configs that are looked at in a folder.
    """
    root = osp.join(
        osp.dirname(import_module(package).__file__), '.mim', 'configs')
    found, looked_at = {}, Counter()
    for path in sorted(
            glob(osp.join(root, '**', '*.py'), recursive=True),
            key=lambda path: (len(path), path)):
        if f'{osp.sep}_base_{osp.sep}' in path or only not in path:
            continue
        looked_at[osp.dirname(path)] += 1
        if looked_at[osp.dirname(path)] > most:
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
    with torch.no_grad():
        for i, value in enumerate(model.parameters()):
            value.fill_(0.02 + i / 2**14)
        for i, (name, value) in enumerate(model.named_buffers()):
            if name.endswith(('running_mean', 'running_var')):
                value.fill_(0.5 + i / 2**14)


def without_initial_values() -> None:
    """Drawing values that are overwritten takes most of the time."""
    for name in dir(nn.init):
        if name.endswith('_') and not name.startswith('_'):
            setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)


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


def try_one(package: str,
            path: str,
            step: bool = True,
            in_memory: bool = False) -> str:
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
    weights = weights_to_cpu(model.state_dict())
    del model
    given = Config(
        dict(
            model=without_downloads(cfg.model)[0],
            default_scope=package,
            data_preprocessor=cfg.get('data_preprocessor')))
    if in_memory:
        teacher = FrozenTeacher(given, None)
        load_strictly(teacher.model, weights, 'in memory', teacher.name)
    else:
        with tempfile.TemporaryDirectory() as folder:
            file = osp.join(folder, 'epoch_1.pth')
            save_checkpoint(dict(state_dict=weights, meta=dict()), file)
            teacher = FrozenTeacher(given, file)
    found = teacher.model.state_dict()
    differing = [
        key for key in found
        if key in weights and not torch.equal(found[key], weights[key])
    ]
    return f'DIFFERS: {differing[:3]}' if differing else how


def _answer(pipe, *args) -> None:
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
    try:
        answer = try_one(*args)
    except Exception as error:
        if "can't allocate memory" in str(error):
            return  # told as a process that died
        answer = f'FAILS: {type(error).__name__}: {str(error)[:500]}'
    pipe.send(answer)


def tried(package: str, path: str, step: bool, in_memory: bool) -> str:
    """:func:`try_one` in a process of its own, with a limit of time."""
    context = multiprocessing.get_context('fork')
    receiver, sender = context.Pipe(False)
    process = context.Process(
        target=_answer, args=(sender, package, path, step, in_memory))
    process.start()
    sender.close()
    try:
        answer = receiver.recv() if receiver.poll(_SECONDS) else None
    except EOFError:
        answer = 'not tried (too large)'
    process.kill()
    process.join()
    if answer is None:
        return tried(package, path, False, in_memory) if step else \
            f'not tried (more than {_SECONDS} s)'
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('package', choices=['mmdet', 'mmpretrain'])
    parser.add_argument('--no-step', action='store_true')
    parser.add_argument(
        '--in-memory', action='store_true', help='save no file (much faster)')
    parser.add_argument('--most', type=int, default=2, help='of a folder')
    parser.add_argument('--only', default='', help='part of a config\'s path')
    args = parser.parse_args()
    counts: Counter = Counter()
    without_initial_values()
    with DefaultScope.overwrite_default_scope(args.package):
        MODELS.get('ResNet')  # imports the package once, before the forks
    for kind, path in families(args.package, args.only, args.most).items():
        began = time.perf_counter()
        answer = tried(args.package, path, not args.no_step, args.in_memory)
        counts[answer.split(' (')[0].split(':')[0]] += 1
        print(
            f'{path.rpartition("/configs/")[2]} [{kind}]: {answer} '
            f'[{time.perf_counter() - began:.1f} s]',
            flush=True)
    print(dict(counts))


if __name__ == '__main__':
    main()
