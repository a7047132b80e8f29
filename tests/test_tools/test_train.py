# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import toys
from builders import build, save
from mmengine.config import Config

TOOLS = Path(__file__).parents[2] / 'tools'
TRAIN = str(TOOLS / 'train.py')


@pytest.fixture
def tool():
    names = runpy.run_path(TRAIN)

    def prepare(*argv):
        return names['prepare_config'](names['parse_args'](list(argv)))

    return prepare


@pytest.fixture
def config(tmp_path):
    """A config with the hook in it."""
    path = tmp_path / 'w2s_toy.py'
    path.write_text('''
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
auto_scale_lr = dict(base_batch_size=16, enable=False)
custom_hooks = [dict(type='mmw2s.WeakTeacherDistillHook', teacher='t.py'),
                dict(type='EMAHook')]
''')
    return str(path)


@pytest.fixture
def run(tmp_path):
    """A config of a run that trains in a second."""
    (tmp_path / 'data').mkdir()
    cfg = toys.run_config(
        toys.write_pictures(tmp_path / 'data'),
        tmp_path / 'work',
        epochs=2,
        model=toys.retinanet(18))
    for name in ('cfg', 'dataloader', 'evaluator'):
        cfg[f'test_{name}'] = cfg[f'val_{name}']
    path = tmp_path / 'toy.py'
    cfg.dump(str(path))
    return str(path)


def run_train(*argv, **kwargs):
    return subprocess.run([sys.executable, '-W', 'ignore', TRAIN, *argv],
                          stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT,
                          universal_newlines=True,
                          timeout=120,
                          **kwargs)


def test_the_work_dir_is_named_after_the_config(tool, config):
    assert tool(config).work_dir == './work_dirs/w2s_toy'
    assert tool(config, '--work-dir', 'x').work_dir == 'x'
    assert tool(config, '--cfg-options', 'work_dir=y').work_dir == 'y'


def test_a_baseline_loses_the_hook_and_nothing_else(tool, config):
    with_hook, without = tool(config), tool(config, '--no-distill')
    assert [hook['type'] for hook in without.custom_hooks] == ['EMAHook']
    with_hook.custom_hooks = without.custom_hooks
    with_hook.work_dir = without.work_dir
    assert with_hook.to_dict() == without.to_dict()


def test_a_baseline_does_not_share_the_work_dir(tool, config):
    assert tool(config, '--no-distill').work_dir == \
        './work_dirs/w2s_toy_baseline'
    given = tool(config, '--no-distill', '--work-dir', 'x')
    assert given.work_dir == 'x'


@pytest.mark.parametrize('argv, resume, load_from', [
    ([], None, None),
    (['--resume'], None, None),
    (['--resume', 'auto'], None, None),
    (['--resume', 'w2s_toy.py'], True, 'w2s_toy.py'),
    (['--resume', 's3://a/b.pth'], True, 's3://a/b.pth'),
])
def test_resume_takes_auto_a_path_or_a_url(tool, config, argv, resume,
                                           load_from, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = tool(config, *argv)
    assert cfg.get('resume') == resume
    assert cfg.get('load_from') == load_from


def test_where_there_is_nothing_to_resume_the_configs_weights_are_loaded(
        tool, config, tmp_path):
    argv = (config, '--resume', '--work-dir', str(tmp_path), '--cfg-options',
            'load_from=own.pth')
    assert tool(*argv).load_from == 'own.pth' and not tool(*argv).get('resume')
    torch.save(
        dict(meta=dict(epoch=1, iter=1), optimizer={}),
        tmp_path / 'epoch_1.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    assert tool(*argv).load_from is None and tool(*argv).resume is True


def test_a_checkpoint_to_resume_from_has_to_be_there(tool, config):
    with pytest.raises(FileNotFoundError, match='"none.pth" does not exist'):
        tool(config, '--resume', 'none.pth')


def test_a_dry_run_is_of_one_process(tool, config, capsys):
    with pytest.raises(SystemExit):
        tool(config, '--dry-run', '--launcher', 'pytorch')
    assert '--dry-run runs in one process' in capsys.readouterr().err


def test_options_reach_the_config(tool, config):
    cfg = tool(config, '--auto-scale-lr', '--amp', '--cfg-options',
               'optim_wrapper.optimizer.lr=0.5')
    assert cfg.auto_scale_lr.enable is True
    assert cfg.optim_wrapper.optimizer.lr == 0.5
    assert cfg.optim_wrapper.type in ('AmpOptimWrapper', 'BF16OptimWrapper')


def test_scaling_the_rate_needs_a_base_batch_size(tool, config):
    with pytest.raises(ValueError, match='base_batch_size'):
        tool(config, '--auto-scale-lr', '--cfg-options', 'auto_scale_lr={}')


def test_resume_takes_the_newest_whole_checkpoint(tool, config, tmp_path):
    for epoch in (1, 2):
        path = tmp_path / f'epoch_{epoch}.pth'
        torch.save(
            dict(meta=dict(epoch=epoch, iter=epoch), optimizer={}), path)
        os.utime(path, (epoch, epoch))
    (tmp_path / 'last_checkpoint').write_text(str(path))
    argv = (config, '--resume', '--work-dir', str(tmp_path))
    assert tool(*argv).load_from is None  # MMEngine's own choice
    path.write_bytes(path.read_bytes()[:100])
    assert tool(*argv).load_from == str(tmp_path / 'epoch_1.pth')
    (tmp_path / 'epoch_1.pth').unlink()
    with pytest.raises(ValueError, match='no checkpoint to resume from'):
        tool(*argv)


@pytest.mark.parametrize('device, kept', [('cpu', True), ('cuda', False)])
def test_a_run_on_a_cpu_keeps_the_memory_that_a_step_has_freed(
        config, monkeypatch, device, kept):
    names = runpy.run_path(TRAIN)
    seen, own = [], names['main'].__globals__
    for name in [n for n in os.environ if n.startswith('MALLOC_')]:
        monkeypatch.delenv(name)
    library = SimpleNamespace(mallopt=lambda *_: seen.append(True) or 1)
    monkeypatch.setattr('mmw2s.utils.heap.get_device', lambda: device)
    monkeypatch.setattr('mmw2s.utils.heap.sys.platform', 'linux')
    monkeypatch.setattr('mmw2s.utils.heap.ctypes.CDLL', lambda _: library)
    monkeypatch.setitem(own, 'setup_launcher', lambda *_: sys.exit(3))
    with pytest.raises(SystemExit):
        names['main']([config, '--stop-on'])
    assert bool(seen) is kept


def test_a_missing_config_is_one_line_and_no_stack_trace():
    result = run_train('w2s_retinanet_cocoo.py')
    assert result.returncode == 1
    assert ('train.py: error: there is no file "w2s_retinanet_cocoo.py", '
            'and mmw2s has no config') in result.stdout
    assert 'Traceback' not in result.stdout


@pytest.mark.parametrize('script, argv', [('train.py', ()),
                                          ('test.py', ('epoch_1.pth', ))])
def test_a_mistyped_option_is_one_line(config, monkeypatch, script, argv):
    monkeypatch.setattr(
        sys, 'argv',
        [script, config, *argv, '--cfg-options', 'custom_hooks.7.stop=1'])
    with pytest.raises(SystemExit, match=f'{script}: error: .*7'):
        runpy.run_path(str(TOOLS / script), run_name='__main__')


@pytest.fixture
def w2s(run, tmp_path):
    """The same run with a weak teacher."""
    teacher = toys.retinanet(18)
    save(build(teacher), tmp_path / 't.pth')
    cfg = Config.fromfile(run)
    cfg.custom_hooks = [
        dict(
            type='mmw2s.WeakTeacherDistillHook',
            teacher=dict(
                config=dict(default_scope='mmdet', model=teacher),
                checkpoint=str(tmp_path / 't.pth')))
    ]
    cfg.dump(run)
    return run


def dry_run(monkeypatch, *argv):
    monkeypatch.setattr(sys, 'argv', [TRAIN, *argv, '--dry-run'])
    runpy.run_path(TRAIN, run_name='__main__')


def test_a_dry_run_prints_and_trains_nothing(w2s, tmp_path, monkeypatch,
                                             capsys):
    dry_run(monkeypatch, w2s)
    assert 'Nothing was saved' in capsys.readouterr().out
    assert not (tmp_path / 'work').exists()


@pytest.mark.parametrize('fields, message', [
    ({
        'teacher.checkpoint': 'none.pth'
    }, 'none.pth'),
    ({
        'teacher.chekpoint': 't.pth'
    }, 'chekpoint'),
    ({
        'stop.type': 'Surpass'
    }, 'Surpass'),
    ({
        'stop.type': 'At',
        'stop.iter': 1
    }, 'within its first three steps'),
])
def test_what_a_dry_run_finds_wrong_is_one_line(w2s, monkeypatch, fields,
                                                message):
    options = [f'custom_hooks.0.{k}={v}' for k, v in fields.items()]
    with pytest.raises(SystemExit, match=f'train.py: error: .*{message}'):
        dry_run(monkeypatch, w2s, '--cfg-options', *options)


def test_ctrl_c_is_seen_behind_the_error_that_it_caused():
    exit_code = runpy.run_path(TRAIN)['exit_code']
    try:
        try:
            raise KeyboardInterrupt
        finally:
            raise RuntimeError('unexpected pos')  # as torch.save does
    except RuntimeError as error:
        assert exit_code(error) == 130
    assert exit_code(KeyboardInterrupt()) == 130
    assert exit_code(RuntimeError('another')) is None


@pytest.mark.slow
def test_a_run_interrupted_says_how_to_resume_and_resumes(run, tmp_path):
    argv = [run, '--cfg-options', 'train_cfg.max_epochs=10000']
    work = tmp_path / 'work'
    # A shell has what it runs in the background ignore the signal.
    process = subprocess.Popen(
        [sys.executable, TRAIN, *argv],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    while not (work / 'last_checkpoint').exists():
        assert process.poll() is None
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert 'Interrupted.' in errors and '--resume' in errors
    assert 'Traceback' not in errors

    done = int((work / 'last_checkpoint').read_text().rsplit('_', 1)[1][:-4])
    result = run_train(run, '--resume', '--cfg-options',
                       f'train_cfg.max_epochs={done + 1}', 'log_level=INFO')
    assert result.returncode == 0, result.stdout[-2000:]
    assert f'epoch_{done}.pth' in result.stdout
    assert (work / f'epoch_{done + 1}.pth').exists()


@pytest.mark.slow
def test_sigterm_ends_a_run_with_a_checkpoint_and_its_own_code(run, tmp_path):
    argv = [run, '--cfg-options', 'train_cfg.max_epochs=10000']
    work = tmp_path / 'work'
    process = subprocess.Popen([sys.executable, '-W', 'ignore', TRAIN, *argv],
                               stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT,
                               universal_newlines=True)
    while not (work / 'last_checkpoint').exists():
        assert process.poll() is None
        time.sleep(0.2)
    process.terminate()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 143
    assert 'SIGTERM was received' in said and said.count('--resume') == 1
    assert 'Traceback' not in said
    path = (work / 'last_checkpoint').read_text()
    done = torch.load(path, weights_only=False)['meta']['iter']

    epochs = done // 4 + 1
    result = run_train(run, '--resume', '--cfg-options',
                       f'train_cfg.max_epochs={epochs}')
    assert result.returncode == 0, result.stdout[-2000:]
    end = torch.load(work / f'epoch_{epochs}.pth', weights_only=False)
    assert end['meta']['iter'] == 4 * epochs


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='about CPUs and gloo')
def test_two_processes_train_and_test_on_cpus(run, tmp_path):

    def launch(script, *argv):
        result = subprocess.run(['bash', str(TOOLS / script), *argv],
                                env=dict(os.environ, PYTHON=sys.executable),
                                cwd=str(tmp_path),
                                stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT,
                                universal_newlines=True,
                                timeout=200)
        assert result.returncode == 0, result.stdout[-3000:]
        assert 'bbox_mAP' in result.stdout

    checkpoint = str(tmp_path / 'work' / 'epoch_2.pth')
    launch('dist_train.sh', run, '2', '--cfg-options', 'log_level=INFO')
    launch('dist_test.sh', run, checkpoint, '2', '--cfg-options',
           'log_level=INFO')
    # Two processes share the 4 iterations of an epoch of 8 images.
    state = torch.load(checkpoint, weights_only=False)
    assert state['meta']['iter'] == 4
