# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import runpy
from pathlib import Path

import pytest
from mmengine.config import Config
from tiny_extractor import Corners, images

from mmw2s.engine.launch import load_config
from mmw2s.evaluation import FID
from mmw2s.evaluation.distances import frechet_distance
from mmw2s.evaluation.reference import moments

TOOL = str(
    Path(__file__).parents[2] / 'tools' / 'analysis_tools' /
    'fid_of_real_images.py')


@pytest.fixture
def tool(tmp_path):
    """Calls the tool with a config whose two sets differ."""
    fid = dict(
        type='FID',
        num_samples=40,
        reference=dict(type='Noise'),
        extractor=dict(type='Corners'))
    cfg = Config(
        dict(
            val_dataloader=dict(
                dataset=dict(type='Noise', seed=1, brightness=90)),
            val_evaluator=[dict(type='DenoisingError'), fid]))
    cfg.dump(str(tmp_path / 'tiny.py'))

    def main(*options):
        runpy.run_path(TOOL)['main'](
            [str(tmp_path / 'tiny.py'), '--cfg-options', *options])

    return main


def test_it_is_the_distance_of_the_two_sets(tool, capsys):
    tool('val_dataloader.batch_size=8')
    expected = frechet_distance(
        *moments(Corners()(images(seed=1, brightness=90))),
        *moments(Corners()(images())))
    assert capsys.readouterr().out.splitlines()[-1] == f'fid {expected:.6g}'


def test_a_set_is_at_no_distance_from_itself_by_both_measures(tool, capsys):
    pytest.importorskip('torchmetrics')
    tool('val_dataloader.dataset.seed=0',
         'val_dataloader.dataset.brightness=0',
         'val_evaluator.1.measures=[fid,kid]')
    fid, kid = (
        line.split() for line in capsys.readouterr().out.splitlines()[-2:])
    assert fid[0] == 'fid' and float(fid[1]) == pytest.approx(0, abs=1e-6)
    assert kid[0] == 'kid' and float(kid[1]) < 1e-3


@pytest.mark.parametrize('kind', ['mmw2s.evaluation.FID', FID])
def test_the_metric_is_found_whichever_way_its_type_is_written(
        tool, capsys, monkeypatch, kind):

    def typed(*args):
        cfg = load_config(*args)
        cfg.val_evaluator[1].type = kind
        return cfg

    monkeypatch.setattr('mmw2s.engine.launch.load_config', typed)
    tool('val_dataloader.batch_size=8')
    assert capsys.readouterr().out.splitlines()[-1].startswith('fid ')


@pytest.mark.parametrize('option, message', [
    ('val_evaluator.1.type=DenoisingError', 'should have the metric FID'),
    ('val_evaluator.1.reference.count=2', 'should be 4 images or more'),
])
def test_what_is_wrong_is_told_in_a_line(tool, option, message):
    with pytest.raises(SystemExit, match=f'error: .*{message}'):
        tool(option)
