# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What the documents show is run, and what they name is looked up."""
import inspect
import re
import runpy
from ast import literal_eval
from pathlib import Path

import pytest
import recorded
import runs
from builders import build, save
from mmengine.config import Config
from mmengine.hooks import Hook
from toys import retinanet, run_config, write_pictures

import mmw2s
from mmw2s.distillation.recipes import (default_distill, default_schedule,
                                        default_stop)
from mmw2s.engine import TimeToTargetHook, WeakTeacherDistillHook
from mmw2s.engine.hooks import StopWhenUsefulHook
from mmw2s.evaluation import FID
from mmw2s.models import DenoisingDiffusion
from mmw2s.profiling.step_cost import BASELINE, FLOOR, ON, StepCost
from mmw2s.registry import KNOWLEDGE, SCHEDULES, STARTS, STOP_RULES
from mmw2s.utils.hook_configs import hook_configs

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *ROOT.glob('*.md'), *(ROOT / 'docs').glob('*.md'),
    *(ROOT / 'docs').glob('*/*.md'), *(ROOT / 'configs').rglob('README.md'),
    *ROOT.glob('findings/*.md')
]


def blocks(name):
    """The Python blocks of a document, in order."""
    return re.findall(r'^```python\n(.*?)^```', (ROOT / name).read_text(),
                      re.DOTALL | re.MULTILINE)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A reader's folder: a model, a weak one with weights, and images."""
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


def train(path, *hooks, **overrides):
    """Train a config file; the rows of its record, by event."""
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(overrides)
    runs.train(cfg, *hooks)
    return {row['event']: row for row in runs.rows(cfg.work_dir)}


@pytest.mark.parametrize('way', [0, 1])
def test_what_is_shown_in_python_runs(project, way):
    exec(blocks('docs/guides/python.md')[way], {})
    row, = runs.rows('work_dirs/w2s', 'teacher')
    assert row['metric'] == 'coco/bbox_mAP'


def test_the_shown_display_runs(project, capsys):
    exec(blocks('docs/guides/watch.md')[0], {})
    out = capsys.readouterr().out
    assert 'waiting 0 None ()' in out and 'student: running' in out
    assert 'my study' in Path('study.html').read_text()


def test_the_shown_report_is_written(tmp_path, monkeypatch):
    pytest.importorskip('vl_convert')
    monkeypatch.setattr('mmw2s.report.vega.code', lambda: '')
    monkeypatch.chdir(tmp_path)
    for name, teacher in (('base', None), ('w2s', .2), ('teacher', None)):
        recorded.write_run(
            tmp_path / 'work_dirs' / name, [.2, .5], teacher=teacher)
    exec(blocks('docs/guides/report.md')[0], {})
    assert 'My study' in Path('report.html').read_text()
    assert Path('curves.pdf').stat().st_size > 3000


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
    rows = train('mine.py', seen, **{'default_hooks.w2s.stop.value': 0.})
    assert len(seen.steps) == 4
    assert all(step['loss_kd_stage'] > 0 for step in seen.steps)
    assert rows['stop']['reason'] == 'coco/bbox_mAP has reached 0.0'


def test_the_shown_config_with_both_hooks_runs(project):
    Path('mine.py').write_text(blocks('docs/get_started.md')[1])
    rows = train('mine.py')
    assert rows['teacher']['metric'] == 'coco/bbox_mAP'
    assert (project / 'run' / 'time_to_target.json').exists()


@pytest.mark.parametrize('name', ['README.md', 'docs/get_started.md'])
@pytest.mark.parametrize('existing', [[], [dict(type='EMAHook')]])
def test_the_shown_hook_alone_runs_beside_those_of_the_base(
        project, name, existing):
    if existing:
        base = Config.fromfile('my_retinanet.py')
        base.custom_hooks = existing
        base.custom_imports = dict(imports=['json'])
        base.dump('my_retinanet.py')
    Path('mine.py').write_text(blocks(name)[0])
    cfg = Config.fromfile('mine.py')
    assert (cfg.get('custom_hooks') or []) == existing
    assert ('custom_imports' in cfg) == bool(existing)
    assert 'teacher' in train('mine.py')


def test_the_config_that_is_shown_in_full_is_the_one_that_is_named():
    block, = (b for b in blocks('docs/get_started.md') if '0.36' in b)
    shown = {}
    exec(block, shown)
    cfg = Config.fromfile(mmw2s.config('w2s_retinanet_coco.py'))
    for kind in ('WeakTeacherDistillHook', 'TimeToTargetHook'):
        hook, = hook_configs(cfg.to_dict(), kind)
        full, = hook_configs(shown, kind)
        # The block has in full what the config names in a word.
        assert hook.pop('distill', dict(full={})) == dict(full={})
        assert hook.items() <= full.items()
    full, = hook_configs(shown, 'WeakTeacherDistillHook')
    student = build(retinanet(50))
    assert full['distill'] == default_distill(student, student, full=True)
    assert full['schedule'] == default_schedule(student)
    stop, default = (
        vars(STOP_RULES.build(dict(rule)))
        for rule in (full['stop'], default_stop(True, 1)))
    assert stop == {**default, 'metric': 'coco/bbox_mAP'}


@pytest.mark.parametrize('path', DOCUMENTS, ids=lambda p: p.name)
def test_files_that_a_document_names_exist(path):
    text = path.read_text()
    named = re.findall(r'\b(?:configs|tools|mmw2s)/[\w/]+\.(?:py|sh)\b', text)
    missing = [name for name in named if not (ROOT / name).is_file()]
    links = re.findall(r'\]\(([^)#:]+)\)', text)
    missing += [link for link in links if not (path.parent / link).exists()]
    assert not missing


def test_no_page_links_to_a_page_outside_of_docs():
    docs = ROOT / 'docs'  # Sphinx knows no other pages
    outside = [(page.name, link) for page in docs.rglob('*.md')
               for link in re.findall(r'\]\(([^)#:]+\.md)', page.read_text())
               if docs not in (page.parent / link).resolve().parents]
    assert not outside


def anchors(path):
    """The anchors of a document's headings, as GitHub makes them."""
    text = re.sub(r'^```.*?^```', '', path.read_text(), flags=re.M | re.S)
    return {
        re.sub(r'[^\w -]', '', heading).lower().replace(' ', '-')
        for heading in re.findall(r'^#+ (.*)$', text, re.M)
    }


@pytest.mark.parametrize('path', DOCUMENTS, ids=lambda p: p.name)
def test_sections_that_a_document_links_to_exist(path):
    links = re.findall(r'\]\(([^)#:]*)#([^)]+)\)', path.read_text())
    missing = [(name, anchor) for name, anchor in links
               if anchor not in anchors(path.parent / name if name else path)]
    assert not missing


def test_the_readme_is_read_in_three_minutes():
    text = (ROOT / 'README.md').read_text()
    rows = re.findall(r'^\| ', text, re.M)
    assert len(text.splitlines()) <= 120 and len(rows) <= 1 + 10


@pytest.fixture(scope='module')
def make_tables():
    return runpy.run_path(str(ROOT / 'docs' / 'make_tables.py'))


@pytest.mark.parametrize('row, record, setting, unit', [
    ('RetinaNet-R50 <- R18 (0.437)', 'bccd_retinanet/settings',
     'features and scores', 'epoch'),
    ('the same, [grown](docs/guides/start.md)', 'bccd_narrow/settings',
     'mmw2s pair', 'epoch'),
    ('the same, grown (0.338)', 'bccd_faster_rcnn_narrow/settings',
     'narrow teacher', 'epoch'),
    ('Faster R-CNN-R50', 'bccd_faster_rcnn/settings', 'features', 'epoch'),
    ('RetinaNet-R50 <- R18 (0.501)', 'digits_settings/settings',
     'features only', 'epoch'),
    ('ResNet-18', 'cifar10/settings', 'default', 'epoch'),
    ('diffusion, digits', 'ddpm_digits/settings', 'default', 'iter'),
    ('diffusion, CIFAR-10', 'ddpm_cifar10/settings', 'default', 'iter'),
    ('the quick start', 'quickstart/settings', 'with the weak teacher',
     'epoch'),
    ('the same, grown from a smaller one', 'quickstart/settings',
     'grown from a smaller one, 5 epochs', 'epoch'),
])
def test_speedups_in_the_readme_are_those_of_the_records(
        make_tables, row, record, setting, unit):
    table = make_tables['table'](make_tables['RESULTS'] / f'{record}.json',
                                 unit)
    measured, shown = (re.findall(
        r'([\d.]+)x',
        re.search(rf'^\| {re.escape(name)}.*$', text, re.M).group())
                       for text, name in ((table, f'{setting} |'),
                                          ((ROOT / 'README.md').read_text(),
                                           row)))
    assert len(shown) == 3
    assert ' '.join(shown) in ' '.join(measured)


def test_the_tables_of_the_results_are_those_of_their_records(make_tables):
    fill = make_tables['fill']
    pages = [p for p in DOCUMENTS if '<!-- table: ' in p.read_text()]
    assert pages
    for page in pages:
        assert fill(page.read_text()) == page.read_text(), page


def test_counted_and_measured_cost_are_those_of_the_benchmarks(
        make_tables, tmp_path):
    assert make_tables['cost_table'](tmp_path) == 'No records yet.\n'
    cost = StepCost(
        ms={
            BASELINE: [100., 200.],
            FLOOR: [120., 240.],
            ON: [125., 250.]
        },
        peak_mib={
            BASELINE: 1.,
            FLOOR: 1.,
            ON: 1.
        },
        gmacs={
            BASELINE: 40.,
            FLOOR: 50.,
            ON: 50.
        },
        teacher_parts=1,
        teacher_parts_left=0,
        facts=dict(batch_shapes=[[2, 3, 64, 96]]))
    (tmp_path / 'batch_of_2.json').write_text(cost.to_json())
    row = make_tables['cost_table'](tmp_path).splitlines()[-1]
    assert row == ('| batch of 2 | 2 x 3 x 64 x 96 | 40 G | 10 G | 1.250 | '
                   '1.200 (1.200-1.200) | 1.250 (1.250-1.250) |')


def test_head_room_is_read_from_the_records_and_what_lacks_it_is_named(
        make_tables, tmp_path):
    headroom = runpy.run_path(str(ROOT / 'docs' / 'make_headroom.py'))
    results = make_tables['RESULTS']
    for name in ('bccd_retinanet', 'ddpm_digits', 'quickstart'):
        (tmp_path / name).mkdir()
        for path in (results / name).glob('[rs]e*.json'):
            (tmp_path / name / path.name).write_text(path.read_text())
    found, lacking = headroom['pairs'](tmp_path)
    assert {
        p.name: round(p.head_room, 2)
        for p in found
    } == {
        'bccd_retinanet': 2.88,
        'quickstart, with the weak teacher': 1.04,
        'quickstart, grown from a smaller one, 5 epochs': 1.26
    }
    assert [share for share, *_ in found[0].gains] == ['80%', '90%', '95%']
    assert found[0].gains[0][1:] == pytest.approx((1.5, .91), abs=.01)
    assert 'ddpm_digits, default' in lacking
    assert 'bccd_retinanet, features and scores' in lacking
    headroom['draw'](found, tmp_path / 'x.png')
    assert (tmp_path / 'x.png').stat().st_size > 5000


def fields_in(text):
    """Fields and defaults as a table writes them, `name` or `name=value`."""
    return re.findall(r'`([a-z_]+)(?:=([^`]+))?`', text)


def rows_of(section):
    """Cells of the rows of the table under a heading of the user guide."""
    guides = (ROOT / 'docs' / 'guides').glob('*.md')
    text = '\n'.join(guide.read_text() for guide in guides)
    _, text = re.split(rf'^#+ {re.escape(section)}$', text, flags=re.M)
    table = re.search(r'^\|.*?(?=\n\n)', text, re.S | re.M).group()
    return [[cell.strip() for cell in row.strip('|').split('|')]
            for row in table.splitlines()[2:]]


@pytest.mark.parametrize('section, registry', [('Knowledge', KNOWLEDGE),
                                               ('Schedules', SCHEDULES),
                                               ('Starts', STARTS),
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
    registered = {
        name
        for name, cls in registry.module_dict.items()
        if cls.__module__.startswith('mmw2s.')
    }
    assert seen == registered


@pytest.mark.parametrize(
    'section, fields',
    [
        ('`WeakTeacherDistillHook`',
         list(inspect.signature(WeakTeacherDistillHook).parameters)[:-1]),
        ('`teacher`',
         list(inspect.signature(mmw2s.distillation.FrozenTeacher).parameters)),
        ('`TimeToTargetHook`',
         list(inspect.signature(TimeToTargetHook).parameters)),
        ('`StopWhenUsefulHook`',
         list(inspect.signature(StopWhenUsefulHook).parameters)[:-1]),
        ('Diffusion', list(inspect.signature(DenoisingDiffusion).parameters)),
        # All but those of every metric.
        ('`FID`', list(inspect.signature(FID).parameters)[:-2]),
    ])
def test_the_user_guide_lists_every_field(section, fields):
    assert [row[0].strip('`') for row in rows_of(section)] == fields
