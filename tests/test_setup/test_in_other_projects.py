# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Every way into another project, tried with the wheel and stock scripts."""
import os.path as osp
import re
from pathlib import Path

import mmdet
import mmpretrain
import pytest
import tiny_classifiers
from builders import build, save
from mmengine.config import Config
from toys import retinanet, run_config, write_pictures

from mmw2s.records.files import EVENTS, read_rows

ROOT = Path(__file__).parents[2]
HOOK = 'default_hooks.w2s.'
ON_THE_COMMAND_LINE = ('--cfg-options',
                       f'{HOOK}type=mmw2s.WeakTeacherDistillHook',
                       f'{HOOK}teacher.config=my_weak_model.py',
                       f'{HOOK}teacher.checkpoint=my_weak_model.pth')

pytestmark = pytest.mark.slow


def train_script(package):
    path = osp.join(osp.dirname(package.__file__), '.mim/tools/train.py')
    if not osp.isfile(path):
        pytest.skip(f'{package.__name__} is installed without its tools')
    return path


def shown(mark):
    """The block of the documents that has ``mark`` in it."""
    blocks = re.findall(r'^```python\n(.*?)^```',
                        (ROOT / 'docs' / 'get_started.md').read_text(),
                        re.DOTALL | re.MULTILINE)
    block, = (b for b in blocks if mark in b)
    return block


def events(folder):
    return [row['event'] for row in read_rows(folder / 'run' / EVENTS)]


@pytest.fixture
def project(tmp_path):
    """A detection project: a model, a weak one with weights, and images."""
    (tmp_path / 'data').mkdir()
    cfg = run_config(write_pictures(tmp_path / 'data'), 'run')
    cfg.pop('custom_hooks')
    cfg.dump(str(tmp_path / 'my_retinanet.py'))
    Config(dict(default_scope='mmdet',
                model=retinanet(18))).dump(str(tmp_path / 'my_weak_model.py'))
    save(build(retinanet(18)), tmp_path / 'my_weak_model.pth')
    return tmp_path


def test_the_hook_on_the_command_line_of_mmdets_train_script(project, run):
    run(project, train_script(mmdet), 'my_retinanet.py', *ON_THE_COMMAND_LINE)
    assert events(project)[-1] == 'stop'


def test_the_hook_on_the_command_line_of_mmpretrains(tmp_path, run):
    cfg = tiny_classifiers.run_config('run')
    cfg.custom_imports = dict(imports=['tiny_classifiers'])
    cfg.dump(str(tmp_path / 'my_resnet.py'))
    weak = tiny_classifiers.classifier(4)
    Config(dict(default_scope='mmpretrain',
                model=weak)).dump(str(tmp_path / 'my_weak_model.py'))
    save(tiny_classifiers.build(weak), tmp_path / 'my_weak_model.pth')
    run(tmp_path,
        train_script(mmpretrain),
        'my_resnet.py',
        '--no-persistent-workers',
        *ON_THE_COMMAND_LINE,
        path=ROOT / 'tests' / 'helpers')
    assert events(tmp_path)[-1] == 'stop'


def test_the_shown_hook_beside_those_of_a_base_with_imports(project, run):
    base = Config.fromfile(project / 'my_retinanet.py')
    base.custom_hooks = [dict(type='EMAHook')]
    base.custom_imports = dict(imports=['json'])
    base.dump(str(project / 'my_retinanet.py'))
    (project / 'mine.py').write_text(shown('# beside those'))
    run(project, train_script(mmdet), 'mine.py')
    assert events(project)[-1] == 'stop'
    dumped = Config.fromfile(project / 'run' / 'mine.py')
    assert dumped.custom_hooks[0].type == 'EMAHook'
    assert dumped.custom_imports == base.custom_imports


def test_a_text_config_that_inherits_one_of_mmw2s(project, run):
    tiny = Config.fromfile(project / 'my_retinanet.py').to_dict()
    (project / 'mine.py').write_text('\n'.join([
        "_base_ = [__import__('mmw2s').config('w2s_retinanet_coco.py')]",
        "default_hooks = dict(w2s=dict(teacher=dict(",
        "    config='my_weak_model.py', checkpoint='my_weak_model.pth')))",
        "work_dir = 'run'",
        'param_scheduler = []',
        *(f'{part} = dict(_delete_=True, **{tiny[part]})'
          for part in ('model', 'train_dataloader', 'val_dataloader',
                       'val_evaluator', 'train_cfg', 'optim_wrapper')),
    ]))
    run(project, train_script(mmdet), 'mine.py')
    assert events(project)[-1] == 'stop'
    assert (project / 'run' / 'time_to_target.json').is_file()


def test_the_shown_config_in_the_python_style(project, run):
    (project / 'mine.py').write_text(shown('read_base'))
    run(project, train_script(mmdet), 'mine.py')
    assert events(project)[-1] == 'stop'
    assert (project / 'run' / 'time_to_target.json').is_file()
