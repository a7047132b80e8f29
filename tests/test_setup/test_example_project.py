# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The example project, used as its README says, from a copy of the folder."""
import os.path as osp
import shutil
from pathlib import Path

import mmdet
import pytest

from mmw2s.records.files import EVENTS, read_rows

EXAMPLE = Path(__file__).parents[2] / 'docs' / 'example_project'
TOOLS = Path(osp.dirname(mmdet.__file__), '.mim', 'tools')

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not EXAMPLE.is_dir() or not TOOLS.is_dir(),
        reason='a checkout, and mmdet with its tools, are needed')
]

ONE_EPOCH = ('--cfg-options', 'train_cfg.max_epochs=1')


@pytest.fixture(scope='module')
def trained(run, tmp_path_factory):
    """A copy of the project with a teacher and a student, both trained."""
    copy = tmp_path_factory.mktemp('project') / 'example'
    shutil.copytree(EXAMPLE, copy)
    run(copy, 'make_data.py', 8)
    train = TOOLS / 'train.py'
    run(copy, train, 'weak.py', *ONE_EPOCH, path='.')
    weak = copy / 'work_dirs' / 'weak'
    (weak / 'epoch_1.pth').rename(weak / 'epoch_12.pth')
    run(copy, train, 'strong_w2s.py', *ONE_EPOCH, path='.')
    return copy


def test_the_student_had_its_teacher(trained):
    rows = read_rows(trained / 'work_dirs' / 'strong_w2s' / EVENTS)
    by_event = {row['event']: row for row in rows}
    assert by_event['teacher']['metric'] == 'pascal_voc/mAP'
    assert 'stop' in by_event


# In a process that has no mmw2s, with or without the config of the training.
WITHOUT = """
import runpy
import sys
sys.modules['mmw2s'] = None
checkpoint = 'work_dirs/strong_w2s/epoch_1.pth'
"""
INFER = WITHOUT + """
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmengine.config import Config
for path in ('strong.py', 'work_dirs/strong_w2s/strong_w2s.py'):
    config = Config.fromfile(path)
    config.model.test_cfg.score_thr = 0.  # it is hardly trained
    model = init_detector(config, checkpoint, device='cpu')
    assert model.dataset_meta['classes'] == ('square', 'bar')
    found = inference_detector(model, 'data/val/0.png').pred_instances.scores
    told = DetInferencer(config, checkpoint, device='cpu')(
        'data/val/0.png')['predictions'][0]['scores']
    assert len(found) and abs(found[0] - told[0]) < 1e-4, (found, told)
"""
TEST = WITHOUT + """
script = sys.argv[1]
sys.argv = [script, 'strong.py', checkpoint]
runpy.run_path(script, run_name='__main__')
"""


def test_mmdets_inference_reads_its_checkpoint_without_mmw2s(trained, run):
    run(trained, '-c', INFER, path='.')


def test_mmdets_test_script_reads_its_checkpoint_without_mmw2s(trained, run):
    log = run(trained, '-c', TEST, TOOLS / 'test.py', path='.')
    assert 'pascal_voc/mAP' in log
