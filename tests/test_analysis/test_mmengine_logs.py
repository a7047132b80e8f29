# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What MMEngine logged of real runs, against our record of the same runs."""
import json
from pathlib import Path

import pytest
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from mmw2s.analysis import Run, choose_teacher, compare, print_tables, save
from mmw2s.analysis.settings import compare_settings
from mmw2s.engine.hooks import TimeToTargetHook
from mmw2s.records.files import EVENTS, FILENAME


@METRICS.register_module()
class Rising(BaseMetric):
    """0.1 more at each validation of a process."""
    score = 0.

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        Rising.score += .1
        return dict(acc=round(Rising.score, 3))


@pytest.fixture
def run(toy):
    """Runs a toy config with our hook and gives its work_dir; the logs of
    each run get a timestamp of their own."""
    Rising.score, count = 0., 0

    def run(kind='epoch', resume=False, **overrides) -> Path:
        nonlocal count
        cfg = getattr(toy, f'{kind}_based_cfg').copy()
        cfg.val_evaluator = dict(type='Rising')
        cfg.randomness = dict(seed=3)
        cfg.resume = resume
        cfg.merge_from_dict(overrides)
        folder = Path(toy.temp_dir.name)
        before = set(folder.glob('*/vis_data'))
        runner = toy.build_runner(cfg)
        runner.register_hook(TimeToTargetHook())
        runner.train()
        (new, ) = set(folder.glob('*/vis_data')) - before
        count += 1
        new.parent.rename(folder / f'20260101_00000{count}')
        return folder

    return run


def told(history) -> list:
    return [(row['iter'], row['metrics']) for row in history]


def record_of(folder) -> list:
    """The validations by our record, which is then taken away."""
    path = folder / FILENAME
    history = json.loads(path.read_text())['history']
    path.unlink()
    return history


EVERY_WAY = [
    ('epoch', {}),
    ('epoch', {
        'train_cfg.max_epochs': 4,
        'train_cfg.val_interval': 3
    }),
    ('epoch', {
        'default_hooks.logger.interval': 3
    }),
    ('epoch', {
        'default_hooks.logger.log_metric_by_epoch': False
    }),
    ('epoch', {
        'log_processor': dict(log_with_hierarchy=True)
    }),
    ('epoch', {
        'log_processor': dict(by_epoch=False)
    }),
    ('iter', {
        'train_cfg.val_interval': 3
    }),
    ('iter', {
        'train_cfg.val_interval': 5,
        'train_cfg.val_begin': 4,
        'default_hooks.logger.interval': 4
    }),
    ('iter', {
        'train_cfg.val_interval': 5,
        'default_hooks.logger.log_metric_by_epoch': False
    }),
]


@pytest.mark.parametrize('kind, overrides', EVERY_WAY)
def test_the_logs_tell_the_validations_that_our_record_tells(
        run, kind, overrides):
    folder = run(kind, **overrides)
    own = record_of(folder)
    read = Run.load(str(folder))
    assert told(read.history) == told(own)
    assert read.finished
    assert [row['wall_seconds'] for row in read.history] == [None] * len(own)
    if kind == 'epoch':
        assert [r['epoch'] for r in read.history] == [r['epoch'] for r in own]
    for row, truth in zip(read.history, own):
        # MMEngine's clock goes on while metrics are computed.
        assert 0 < row['train_seconds'] < truth['wall_seconds']


def lines_of(tmp_path, lines, **cfg):
    folder = tmp_path / 'run' / '20260101_000000' / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)))
    (folder / 'config.py').write_text('\n'.join(f'{k} = {v!r}'
                                                for k, v in cfg.items()))
    return str(tmp_path / 'run')


def test_a_slow_first_iteration_is_counted_once(tmp_path):
    spent = [11.] + [1.] * 19
    lines = [
        dict(iter=i, time=sum(spent[:i][-10:]) / len(spent[:i][-10:]), step=i)
        for i in range(1, 21)
    ]
    folder = lines_of(
        tmp_path,
        lines + [dict(acc=.5, step=20)],
        train_cfg=dict(by_epoch=False, max_iters=20),
        default_hooks=dict(logger=dict(interval=1, log_metric_by_epoch=False)))
    (row, ) = Run.load(folder).history
    assert row['train_seconds'] == pytest.approx(sum(spent))


def test_without_the_time_of_an_iteration_epochs_alone_are_known(tmp_path):
    lines = [
        dict(iter=10, epoch=1, step=10),
        dict(acc=.5, step=1),
        dict(iter=20, epoch=2, step=20),
        dict(acc=.6, step=2)
    ]
    run = Run.load(lines_of(tmp_path, lines, train_cfg=dict(max_epochs=2)))
    assert told(run.history) == [(10, dict(acc=.5)), (20, dict(acc=.6))]
    assert [u for u in ('epoch', 'iter', 'train_seconds')
            if run.knows(u)] == ['epoch', 'iter']


def test_the_config_tells_seed_batch_and_length(run):
    folder = run()
    record_of(folder)
    facts = Run.load(str(folder)).facts
    assert (facts['seed'], facts['batch_size_per_device']) == (3, 3)
    assert (facts['iters_per_epoch'], facts['max_iters']) == (4, 8)


def test_our_record_is_preferred(run):
    run = Run.load(str(run()))
    assert 'source' not in run.facts
    assert run.history[0]['wall_seconds'] > 0


@pytest.mark.parametrize('kind, save, last', [('epoch', {}, 4),
                                              ('iter', dict(interval=3), 18)])
def test_the_parts_of_a_resumed_run_are_joined(run, kind, save, last):
    checkpoints = dict(type='CheckpointHook', by_epoch=kind == 'epoch', **save)
    length = 'max_epochs' if kind == 'epoch' else 'max_iters'
    overrides = {
        'default_hooks.checkpoint': checkpoints,
        'train_cfg.val_interval': 1 if kind == 'epoch' else 3
    }
    run(kind, **overrides)
    folder = run(
        kind, resume=True, **overrides, **{f'train_cfg.{length}': last})
    own = record_of(folder)
    read = Run.load(str(folder))
    assert told(read.history) == told(own) and len(own) > 3
    assert read.facts.get('recorded_from') is None
    seconds = [row['train_seconds'] for row in read.history]
    assert seconds == sorted(seconds)


def test_what_was_trained_anew_after_a_resume_counts_once(run):
    folder = run(**{'train_cfg.max_epochs': 3})
    # Cut after its first epoch's checkpoint: two more were on their way.
    (folder / 'last_checkpoint').write_text(str(folder / 'epoch_1.pth'))
    run(resume=True, **{'train_cfg.max_epochs': 3})
    own = record_of(folder)
    read = Run.load(str(folder))
    assert told(read.history) == told(own)
    assert [row['iter'] for row in read.history] == [4, 8, 12]
    assert read.history[-1]['metrics']['acc'] == pytest.approx(.5)


def test_of_two_runs_in_a_folder_the_later_is_taken_and_that_is_said(run):
    run()
    folder = run()
    record_of(folder)
    read = Run.load(str(folder))
    assert [row['iter'] for row in read.history] == [4, 8]
    assert read.history[0]['metrics']['acc'] == pytest.approx(.3)
    assert 'earlier runs' in read.facts['source']
    first = Run.load(str(folder / '20260101_000001'))
    assert first.history[0]['metrics']['acc'] == pytest.approx(.1)


def test_a_teacher_trained_anyway_can_be_chosen(run):
    folder = run(**{'train_cfg.max_epochs': 5})
    record_of(folder)
    choice = choose_teacher(str(folder), .45, 'acc', 'greater')
    assert choice.chosen.point == 'epoch 4'
    assert choice.available.checkpoint == str(folder / 'epoch_4.pth')


def test_runs_without_a_record_are_compared_in_what_they_tell(
        run, write_run, tmp_path, capsys):
    folder = run(**{'train_cfg.max_epochs': 5})
    record_of(folder)
    baseline = write_run('base', [.1, .1, .2, .3, .4], metric='acc')
    result = compare([baseline], [str(folder)], str(folder), [.2], 'acc',
                     'greater')
    assert result.units == ['epoch', 'iter', 'train_seconds']
    assert result.speedup(result.targets[0], 'epoch').value == 1.5
    text = ' '.join(result.notes)
    assert text.count('for want of time_to_target.json') == 1  # not a run
    assert 'Not compared' in text and 'wall clock' in text
    print_tables(result)
    assert 'wall (' not in capsys.readouterr().out
    save(result, str(tmp_path / 'out'))
    report = (tmp_path / 'out' / 'report.md').read_text()
    assert report.rstrip().endswith('seed 3, batch 3 a device')
    content = json.loads((tmp_path / 'out' / 'report.json').read_text())
    target = content['targets'][0]
    assert target['speedup']['wall_seconds'] is None
    assert target['speedup_with_teacher']['train_seconds']['value'] > 0


def test_runs_that_count_iterations_are_compared_by_them(run, tmp_path):
    folder = run('iter', **{'train_cfg.val_interval': 3})
    record_of(folder)
    first = Run.load(str(folder), 'first')
    folder = run('iter', **{'train_cfg.val_interval': 3})
    record_of(folder)
    result = compare([first], [Run.load(str(folder))], None, [.3], 'acc',
                     'greater')
    assert result.progress_unit == 'iter'
    save(result, str(tmp_path / 'out'))
    with pytest.raises(ValueError, match='can be compared by iter'):
        compare_settings([first], {'a': [str(folder)]}, [.3], 'acc', 'greater')
    with pytest.raises(ValueError, match='given twice'):
        compare([first], [Run.load(str(folder / '20260101_000001'))], None,
                [.3], 'acc', 'greater')


def test_a_record_of_decisions_belongs_to_a_run_that_distills(run):
    folder = run()
    record_of(folder)
    (folder / EVENTS).write_text('{"event": "stop", "iter": 4}\n')
    assert not Run.load(str(folder)).had_teacher  # an earlier run's
    for config in folder.glob('**/*.py'):
        config.unlink()
    assert Run.load(str(folder)).had_teacher  # nobody knows better


def test_lines_cut_by_a_kill_are_passed_over(run):
    folder = run()
    record_of(folder)
    (path, ) = folder.glob('*/vis_data/scalars.json')
    path.write_text(path.read_text() + '{"acc": 0.7, "st')
    assert len(Run.load(str(path)).history) == 2


def test_a_run_that_has_not_validated_yet_is_named(run):
    folder = run()
    record_of(folder)
    (path, ) = folder.glob('*/vis_data/scalars.json')
    path.write_text(path.read_text().split('\n')[0] + '\n')
    with pytest.raises(ValueError, match='20260101_000001.*no validation'):
        Run.load(str(folder))


@pytest.mark.parametrize('kind', ['epoch', 'iter'])
def test_tensorboards_events_tell_the_same(run, kind, monkeypatch):
    pytest.importorskip('tensorboard')
    folder = run(
        kind, **{
            'visualizer':
            dict(
                type='Visualizer',
                vis_backends=[
                    dict(type='TensorboardVisBackend'),
                    dict(type='LocalVisBackend')
                ]),
            'train_cfg.val_interval':
            1 if kind == 'epoch' else 3
        })
    own = record_of(folder)
    (path, ) = folder.glob('*/vis_data/scalars.json')
    by_json = Run.load(str(folder)).history
    path.unlink()
    by_events = Run.load(str(folder)).history
    assert told(by_events) == told(own) == told(by_json)


def test_events_alone_without_tensorboard_say_what_to_install(
        tmp_path, monkeypatch):
    folder = tmp_path / 'run' / '20260101_000000' / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'events.out.tfevents.1').write_bytes(b'')
    monkeypatch.setitem(
        __import__('sys').modules,
        'tensorboard.backend.event_processing.event_accumulator', None)
    with pytest.raises(ValueError, match='pip install tensorboard'):
        Run.load(str(tmp_path / 'run'))
