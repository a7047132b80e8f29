# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A process that is killed leaves a work_dir that can be gone on with."""
import json
import os
import os.path as osp
import signal
import subprocess
import sys
import time

import pytest
import torch
from builders import build, save
from toys import retinanet, run_config, write_pictures

from mmw2s.records.files import EVENTS

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_as_one_that_was_not(tmp_path):
    (tmp_path / 'data').mkdir()
    data = write_pictures(tmp_path / 'data')
    teacher = dict(
        config=dict(default_scope='mmdet', model=retinanet(18)),
        checkpoint=save(build(retinanet(18)), tmp_path / 't.pth'))
    hooks = [
        dict(
            type='WeakTeacherDistillHook',
            teacher=teacher,
            schedule=dict(type='Constant', value=1.),
            stop=dict(
                type='SurpassTeacher',
                metric='coco/bbox_mAP',
                teacher_score=-1.,
                consecutive=3,
                latest=None)),
        dict(type='TimeToTargetHook', targets={'coco/bbox_mAP': [0.]})
    ]

    def start(name, *args):
        cfg = run_config(data, tmp_path / name, epochs=5, hooks=hooks)
        cfg.custom_imports = dict(imports=['mmw2s'])
        cfg.dump(str(tmp_path / 'cfg.py'))
        return subprocess.Popen([
            sys.executable,
            osp.join(ROOT, 'tools', 'train.py'),
            str(tmp_path / 'cfg.py'), *args
        ],
                                env=dict(
                                    os.environ,
                                    OMP_NUM_THREADS='1',
                                    PYTHONPATH=ROOT),
                                stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    killed = start('killed')
    while not (tmp_path / 'killed' / 'epoch_2.pth').exists():
        assert killed.poll() is None
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert start('killed', '--resume').wait() == 0
    assert start('whole').wait() == 0

    def ends(name):
        folder = tmp_path / name
        rows = [json.loads(x) for x in (folder / EVENTS).open()]
        for row in rows:
            for clock in ('seconds', 'step_ms', 'teacher_ms'):
                row.pop(clock, None)
        times = json.loads((folder / 'time_to_target.json').read_text())
        return rows, [row['iter'] for row in times['history']], torch.load(
            folder / 'epoch_5.pth', weights_only=False)['state_dict']

    (rows, history, weights), (rows_whole, history_whole, weights_whole) = \
        ends('killed'), ends('whole')
    assert rows == rows_whole
    assert [r['iter'] for r in rows if r['event'] == 'stop'] == [12]
    assert history == history_whole == [4, 8, 12, 16, 20]
    assert all(
        torch.equal(weights[key], weights_whole[key]) for key in weights_whole)
