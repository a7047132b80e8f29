# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What the documents show is run, and what they name is looked up."""
import inspect
import os.path as osp
import re
from ast import literal_eval
from pathlib import Path

import pytest
from builders import build, save
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from toys import retinanet, run_config, write_pictures

import mmw2s
from mmw2s.engine import TimeToTargetHook, WeakTeacherDistillHook
from mmw2s.evaluation import FID
from mmw2s.models import DenoisingDiffusion
from mmw2s.records.files import EVENTS, read_rows
from mmw2s.registry import KNOWLEDGE, SCHEDULES, STOP_RULES

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / 'README.md', ROOT / 'CHANGELOG.md', *(ROOT / 'docs').glob('*.md'),
    *(ROOT / 'configs').rglob('README.md'), *ROOT.glob('findings/*.md')
]


def blocks(name):
    """The Python blocks of a document, in order."""
    return re.findall(r'^```python\n(.*?)^```', (ROOT / name).read_text(),
                      re.DOTALL | re.MULTILINE)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A reader's folder: a model, a weak one with weights, and pictures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path('data').mkdir()
    cfg = run_config(
        write_pictures(tmp_path / 'data'),
        tmp_path / 'run',
        epochs=1,
        model=retinanet(18))
    cfg.pop('custom_hooks')
    cfg.dump('my_retinanet.py')
    Config(dict(default_scope='mmdet',
                model=retinanet(18))).dump('my_weak_model.py')
    save(build(retinanet(18), seed=1), 'my_weak_model.pth')
    return tmp_path


def train(path, hooks=(), **overrides):
    """Train a config file; the rows of its record, by event."""
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(overrides)
    cfg.experiment_name = path
    runner = Runner.from_cfg(cfg)
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    return {
        row['event']: row
        for row in read_rows(osp.join(cfg.work_dir, EVENTS))
    }


class LossesSeen(Hook):

    def __init__(self):
        self.steps = []

    def after_train_iter(self, *args, outputs=None, **kwargs):
        self.steps.append(outputs)


def test_write_your_own_runs_as_it_stands(project):
    *parts, config = blocks('docs/write_your_own.md')
    Path('my_kd.py').write_text('\n\n'.join(parts))
    Path('mine.py').write_text(config)
    seen = LossesSeen()
    # A value that the first validation reaches.
    rows = train('mine.py', [seen], **{'custom_hooks.0.stop.value': 0.})
    assert len(seen.steps) == 4
    # 1 - cosine, times the weight of 2.
    assert all(0 < step['loss_kd_stage'] < 4 for step in seen.steps)
    assert rows['stop']['reason'] == 'coco/bbox_mAP has reached 0.0'


def test_the_shown_config_that_inherits_ours_runs(project):
    shown, = (b for b in blocks('docs/get_started.md') if '_base_/' in b)
    Path('mine.py').write_text(shown)
    rows = train('mine.py')
    assert rows['teacher']['metric'] == 'coco/bbox_mAP'
    assert (project / 'run' / 'time_to_target.json').exists()


@pytest.mark.parametrize('name', ['README.md', 'docs/get_started.md'])
@pytest.mark.parametrize('theirs', [[], [dict(type='EMAHook')]])
def test_the_shown_hook_alone_runs_beside_those_of_the_base(
        project, name, theirs):
    if theirs:
        base = Config.fromfile('my_retinanet.py')
        base.custom_hooks = theirs
        base.custom_imports = dict(imports=['json'])
        base.dump('my_retinanet.py')
    Path('mine.py').write_text(blocks(name)[0])
    cfg = Config.fromfile('mine.py')
    assert cfg.custom_hooks[:-1] == theirs
    assert ('custom_imports' in cfg) == bool(theirs)
    assert 'teacher' in train('mine.py')


def test_the_config_in_the_readme_is_the_one_it_names():
    shown = {}
    exec(blocks('README.md')[1], shown)
    ours = Config.fromfile(mmw2s.config('w2s_retinanet_coco.py'))
    assert shown['custom_hooks'] == ours.to_dict()['custom_hooks']


@pytest.mark.parametrize('path', DOCUMENTS, ids=lambda p: p.name)
def test_files_that_a_document_names_exist(path):
    text = path.read_text()
    named = re.findall(r'\b(?:configs|tools|mmw2s)/[\w/]+\.(?:py|sh)\b', text)
    missing = [name for name in named if not (ROOT / name).is_file()]
    links = re.findall(r'\]\(([^)#:]+)\)', text)
    missing += [link for link in links if not (path.parent / link).exists()]
    assert not missing


def fields_in(text):
    """Fields and defaults as a table writes them, `name` or `name=value`."""
    return re.findall(r'`([a-z_]+)(?:=([^`]+))?`', text)


def rows_of(section):
    """Cells of the rows of the table under a heading of the user guide."""
    text = (ROOT / 'docs' / 'user_guide.md').read_text()
    text = re.split(rf'^#+ {re.escape(section)}$', text, flags=re.M)[1]
    table = re.search(r'^\|.*?(?=\n\n)', text, re.S | re.M).group()
    return [[cell.strip() for cell in row.strip('|').split('|')]
            for row in table.splitlines()[2:]]


@pytest.mark.parametrize('section, registry', [('Knowledge', KNOWLEDGE),
                                               ('Schedules', SCHEDULES),
                                               ('Stop rules', STOP_RULES)])
def test_fields_and_defaults_in_the_user_guide_are_those_of_the_code(
        section, registry):
    seen = set()
    for types, *_, fields in rows_of(section):
        for kind in re.findall(r'`(\w+)`', types):
            seen.add(kind)
            parameters = dict(inspect.signature(registry.get(kind)).parameters)
            for name, default in fields_in(fields):
                given = parameters.pop(name).default
                if default:
                    assert literal_eval(default) == given, (kind, name)
            assert not parameters, f'{kind}: not in the guide'
    ours = {
        name
        for name, cls in registry.module_dict.items()
        if cls.__module__.startswith('mmw2s.')
    }
    assert seen == ours


@pytest.mark.parametrize(
    'section, fields',
    [
        ('`WeakTeacherDistillHook`',
         list(inspect.signature(WeakTeacherDistillHook).parameters)[:-1]),
        ('`teacher`',
         list(inspect.signature(mmw2s.distillation.FrozenTeacher).parameters)),
        ('`TimeToTargetHook`',
         list(inspect.signature(TimeToTargetHook).parameters)),
        ('Diffusion', list(inspect.signature(DenoisingDiffusion).parameters)),
        # All but those of every metric.
        ('`FID`', list(inspect.signature(FID).parameters)[:-2]),
    ])
def test_the_user_guide_lists_every_field(section, fields):
    assert [row[0].strip('`') for row in rows_of(section)] == fields
