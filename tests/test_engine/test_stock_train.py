# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Nothing but the hook, on the command line of mmdet's own train.py."""
import os
import os.path as osp
import subprocess
import sys

import mmdet
import pytest
from builders import build, save
from mmengine.config import Config
from toys import retinanet, run_config, write_pictures

TRAIN = osp.join(osp.dirname(mmdet.__file__), '.mim', 'tools', 'train.py')


@pytest.mark.slow
@pytest.mark.skipif(not osp.exists(TRAIN), reason='mmdet without its tools')
def test_the_hook_on_the_command_line_of_a_stock_train_script(tmp_path):
    (tmp_path / 'data').mkdir()
    data = write_pictures(tmp_path / 'data')
    save(build(retinanet(18)), tmp_path / 't.pth')
    Config(dict(default_scope='mmdet',
                model=retinanet(18))).dump(str(tmp_path / 'teacher.py'))
    cfg = run_config(data, tmp_path / 'run')
    cfg.log_level = 'INFO'
    cfg.dump(str(tmp_path / 'student.py'))
    done = subprocess.run([
        sys.executable, TRAIN, 'student.py', '--cfg-options',
        'default_hooks.w2s.type=mmw2s.WeakTeacherDistillHook',
        'default_hooks.w2s.teacher.config=teacher.py',
        'default_hooks.w2s.teacher.checkpoint=t.pth'
    ],
                          cwd=tmp_path,
                          env=dict(os.environ, OMP_NUM_THREADS='1'),
                          capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    log = done.stdout + done.stderr
    assert 'loss_kd_fpn' in log and 'switched off for good' in log
