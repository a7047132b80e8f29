# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json
import pickle
import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from toys import write_pictures

from mmw2s.analysis.start_pairs import ARMS, PAIRS, missing, write_config
from mmw2s.cli import main, tools_root
from mmw2s.datasets.converters.cifar10 import BATCHES, CLASSES, FOLDER


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The current folder: 120 images in CIFAR-10's files, 8 in COCO's."""
    monkeypatch.chdir(tmp_path)
    folder = Path('data', 'cifar10', FOLDER)
    folder.mkdir(parents=True)
    rng = np.random.RandomState(0)
    for name in BATCHES:
        (folder / name).write_bytes(
            pickle.dumps(
                dict(
                    data=rng.randint(0, 256, (20, 3072)).astype(np.uint8),
                    labels=[i % 10 for i in range(20)])))
    (folder / 'batches.meta').write_bytes(
        pickle.dumps(dict(label_names=list(CLASSES))))
    coco = Path('data', 'coco')
    (coco / 'annotations').mkdir(parents=True)
    for part in ('train2017', 'val2017'):
        (coco / part).mkdir()
        write_pictures(coco / part)
        text = (coco / part / 'instances.json').read_text()
        for ours, theirs in (('box', 'person'), ('bar', 'car')):
            text = text.replace(f'"{ours}"', f'"{theirs}"')
        (coco / 'annotations' / f'instances_{part}.json').write_text(text)
    return tmp_path


def run(*argv):
    """Calls the tool; its exit code, and what it wrote."""
    with pytest.raises(SystemExit) as left:
        main(['start-on-gpu', '--out', 'out', '--tiny', *argv])
    return left.value.code, json.loads(Path('out/results.json').read_text())


@pytest.mark.slow
def test_a_start_that_refuses_is_told_and_a_second_call_goes_on(
        data, monkeypatch, capsys):
    only = '--only', 'classification'
    refused = PAIRS['classification']._replace(start='NoSuchStart')
    with monkeypatch.context() as patch:
        patch.setitem(PAIRS, 'classification', refused)
        code, found = run(*only)
    runs = found['pairs']['classification']['runs']
    assert code == 1
    assert list(runs) == ['teacher', *ARMS]
    assert [arm for arm in runs if 'failed' in runs[arm]] == ['start', 'both']
    assert 'NoSuchStart' in runs['start']['failed']
    settings = found['pairs']['classification']['comparison']['settings']
    assert list(settings) == ['distilled']
    assert '**failed**' in capsys.readouterr().out

    code, found = run(*only)
    said = capsys.readouterr().out
    # Those that were finished are not trained again.
    assert not code and re.findall(r'^classification: (\w+)', said,
                                   re.M) == ['start', 'both']
    runs = found['pairs']['classification']['runs']
    assert runs['start']['share'] == runs['both']['share'] > 0
    assert 'share' not in runs['distilled']
    for arm in ARMS:
        path = Path('out/classification', arm, 'time_to_target.json')
        history = json.loads(path.read_text())['history']
        assert [row['iter'] for row in history] == [2, 4]
    settings = found['pairs']['classification']['comparison']['settings']
    assert list(settings) == ['start', 'distilled', 'both']
    assert found['versions']['torch'] == torch.__version__
    assert runs['baseline']['command'] in Path('out/results.md').read_text()


def test_runs_of_another_seed_are_not_taken_for_those_asked_for(data):
    plan = Path('out', 'diffusion', 'plan.json')
    plan.parent.mkdir(parents=True)
    plan.write_text(json.dumps(dict(iters=4, tiny=True, seed=1)))
    code, found = run('--only', 'diffusion')
    assert code == 1 and not found['pairs']['diffusion']['runs']
    assert 'seed=1: name another' in found['pairs']['diffusion']['problem']


def test_what_is_missing_is_told_before_anything_is_trained(
        tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(['start-on-gpu', '--tiny'])
    assert 'put COCO 2017' in left.value.code
    assert left.value.code.count('prepare-cifar10') == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_without_a_gpu_only_the_rehearsal_runs(data):
    with pytest.raises(SystemExit, match='no GPU.*--tiny'):
        main(['start-on-gpu'])


@pytest.mark.parametrize('name', sorted(PAIRS))
def test_the_arms_differ_in_the_hook_alone(name, data):
    if name == 'diffusion':
        pytest.importorskip('diffusers')
    assert not missing(name)
    (data / name).mkdir()
    cfgs = {
        arm:
        Config.fromfile(
            write_config(name, arm, name, 80, 10, seed=3, teacher='t.pth'))
        for arm in ('teacher', *ARMS)
    }
    hooks = {arm: cfgs[arm].default_hooks.pop('w2s') for arm in ARMS}
    for arm in ARMS:
        assert cfgs[arm].to_dict() == cfgs['baseline'].to_dict()
        assert hooks[arm].teacher.checkpoint == 't.pth'
        assert Path(hooks[arm].teacher.config) == data / name / 'teacher.py'
    kind = dict(type=PAIRS[name].start)
    assert hooks['start'] == dict(hooks['both'], distill=[])
    assert hooks['both'] == dict(hooks['distilled'], start=kind)
    assert hooks['distilled'] == hooks['baseline']
    for cfg in (cfgs['teacher'], cfgs['both']):
        assert cfg.train_cfg == dict(
            by_epoch=False, max_iters=80, val_interval=10)
        assert cfg.randomness.seed == 3
        # MMEngine refuses a further hook that is None.
        assert None not in cfg.default_hooks.values()
        assert cfg.param_scheduler[-1].end == 80
    assert cfgs['teacher'].model != cfgs['both'].model


def test_only_the_first_images_of_coco_are_taken(data, monkeypatch):
    monkeypatch.setitem(write_config.__globals__, 'COCO_IMAGES',
                        dict(train=3, val=2))
    (data / 'detection').mkdir()
    cfg = Config.fromfile(
        write_config('detection', 'teacher', 'detection', 8, 1))
    for loader, count in ((cfg.train_dataloader, 3), (cfg.val_dataloader, 2)):
        with open(loader.dataset.ann_file) as file:
            kept = json.load(file)
        assert [image['id'] for image in kept['images']] == list(range(count))
        assert {a['image_id']
                for a in kept['annotations']} == set(range(count))
    assert cfg.val_evaluator.ann_file == cfg.val_dataloader.dataset.ann_file


@pytest.fixture(scope='module')
def tool():
    return runpy.run_path(str(tools_root() / 'analysis_tools/start_on_gpu.py'))


PROBED = dict(start_up=5., step=0.1, validation=1.)


def test_the_iterations_fill_the_time(tool):
    iters = tool['iterations'](600., PROBED)
    # Four students, and a teacher of half their length.
    took = 4.5 * iters * PROBED['step'] + 5 * 5. + (5 * 8 + 2) * 1.
    assert iters % 8 == 0
    assert 0.75 * 600 < took < 600


def test_too_little_time_is_refused_with_the_time_that_it_takes(tool):
    with pytest.raises(ValueError, match='have 60 s, but need (1[0-9]+) s') \
            as refused:
        tool['iterations'](60., PROBED)
    needed = float(str(refused.value).split('need ')[1].split(' s')[0])
    assert tool['iterations'](needed + 1, PROBED) == 80


def test_the_speed_is_measured_between_two_validations(tool, data,
                                                       monkeypatch):
    clock = iter([100., 120.])
    monkeypatch.setitem(tool['Trial'].__init__.__globals__, 'time',
                        SimpleNamespace(monotonic=lambda: next(clock)))
    trial = tool['Trial']('diffusion', tool['parse_args'](['--out', 'out']))
    probed = Path('out/diffusion/probe')

    def train(arm, iters, every):
        assert (arm, iters, every) == ('probe', 50, 25)
        assert not probed.exists()  # what an earlier call has left is gone
        probed.mkdir()
        # The first steps are slow, as on a GPU that warms up.
        rows = [(10., 11.), (12.5, 14.5)]
        history = [dict(train_seconds=t, wall_seconds=w) for t, w in rows]
        (probed / 'time_to_target.json').write_text(
            json.dumps(dict(schema_version=1, history=history)))
        trial.runs[arm] = dict(folder=str(probed))

    trial._train = train
    probed.mkdir()
    plan = trial._measure(600.)
    assert plan == dict(
        step=0.1,
        validation=1.,
        start_up=20. - 2 * (2.5 + 1.),
        iters=tool['iterations'](580.,
                                 dict(step=0.1, validation=1., start_up=13.)))
