# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A run that is killed, wherever that is, ends as one that was not."""
import json
import os
import random
import shutil
import signal
import time

import pytest
from mmengine.fileio.backends import LocalBackend
from mmengine.hooks import CheckpointHook, Hook

from mmw2s.engine.hooks import StopOnSignalHook
from mmw2s.records.event_log import RunRecord
from .drill import STOPS, assert_same, die, train

pytestmark = pytest.mark.slow
KINDS = tuple(STOPS)


class Stopwatch(Hook):
    """Writes what training takes of the processor, idle or not."""

    def before_run(self, runner):
        self.began = time.process_time()

    def after_run(self, runner):
        with open(os.path.join(runner.work_dir, 'seconds'), 'w') as file:
            file.write(str(time.process_time() - self.began))


@pytest.fixture(scope='module')
def whole(tmp_path_factory, forked, teacher):
    """Unbroken runs, by the kind of their stop, and what training takes."""
    runs = {}
    for kind in KINDS:
        runs[kind] = tmp_path_factory.mktemp(kind) / 'run'
        ended = forked(
            train,
            runs[kind],
            teacher,
            kind,
            prepare=lambda runner: runner.register_hook(Stopwatch()))
        assert ended.code == 0, ended.log
        runs['seconds'] = float((runs[kind] / 'seconds').read_text())
    return runs


@pytest.fixture
def resumed(forked, teacher, whole):
    """Resumes a run that was cut: it ends as the whole one. Its log."""

    def resume(work_dir, kind):
        ended = forked(train, work_dir, teacher, kind, resume=True)
        assert ended.code == 0, ended.log
        assert_same(work_dir, whole[kind])
        return ended.log

    return resume


@pytest.fixture
def killed_and_resumed(tmp_path, forked, teacher, resumed, count):
    """Kills a run by what ``prepare`` installs, and resumes it."""

    def check(prepare, kind='validation'):
        work_dir = tmp_path / 'run'
        ended = forked(train, work_dir, teacher, kind, prepare=prepare)
        assert ended.code == 9, ended.log
        log = resumed(work_dir, kind)
        count('kills')
        return log

    return check


class KillAt(Hook):
    """Kills at a stage, before all other hooks or after them."""

    def __init__(self, stage, iteration, last):
        self.priority = 'LOWEST' if last else 'HIGHEST'

        def kill(runner, *_, **__):
            if runner.iter == iteration:
                die()

        setattr(self, stage, kill)


# Of the 16 iterations, 4 an epoch, the 12th is the last with a teacher.
STAGES = [('before_train', 0), ('before_train_epoch', 0),
          ('before_train_iter', 6), ('after_train_iter', 6),
          ('after_train_iter', 7), ('after_train_iter', 11),
          ('before_train_iter', 12), ('after_train_iter', 13),
          ('after_train_epoch', 8), ('after_train_epoch', 12),
          ('before_val', 8), ('before_val', 12), ('before_val_epoch', 4),
          ('after_val_iter', 12), ('after_val_epoch', 8),
          ('after_val_epoch', 12), ('after_val', 12), ('after_val', 16),
          ('before_save_checkpoint', 8), ('before_save_checkpoint', 12)]


@pytest.mark.parametrize('last', [False, True])
@pytest.mark.parametrize('stage, iteration', STAGES)
def test_before_and_after_every_stage_of_hooks(killed_and_resumed, stage,
                                               iteration, last):
    killed_and_resumed(
        lambda runner: runner.register_hook(KillAt(stage, iteration, last)))


@pytest.mark.parametrize('iteration', [3, 8, 11])
@pytest.mark.parametrize('stage', ['after_train_iter', 'before_train_iter'])
def test_a_stop_that_training_losses_decide(killed_and_resumed, stage,
                                            iteration):
    killed_and_resumed(
        lambda runner: runner.register_hook(KillAt(stage, iteration, True)),
        'training')


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('written', [0., 0.5, 1.])
@pytest.mark.parametrize('event', ['teacher', 'val', 'train', 'stop'])
def test_within_the_write_of_a_row(killed_and_resumed, event, written, kind):
    if (event, kind) in (('train', 'validation'), ('teacher', 'training')):
        pytest.skip('has no such row, or the same one')

    def prepare(runner):
        append = RunRecord.append

        def half(self, what, iteration, **fields):
            if what == event and (iteration >= 8 or what == 'teacher'):
                line = json.dumps(dict(event=what, iter=iteration, **fields))
                with open(self.path, 'a') as file:
                    file.write(line[:int(written * len(line))])
                die()
            return append(self, what, iteration, **fields)

        RunRecord.append = half

    killed_and_resumed(prepare, kind)


@pytest.mark.parametrize('name', ['epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth'])
@pytest.mark.parametrize('written', [0., 0.1, 0.9, 0.999])
def test_within_the_write_of_a_checkpoint(killed_and_resumed, name, written):

    def prepare(runner):
        put = LocalBackend.put

        def half(self, content, path):
            if str(path).endswith(name):
                content = bytes(content)
                with open(path, 'wb') as file:
                    file.write(content[:int(written * len(content))])
                die()
            put(self, content, path)

        LocalBackend.put = half

    log = killed_and_resumed(prepare)
    assert name == 'epoch_1.pth' or 'newest checkpoint' not in log


@pytest.mark.parametrize('epoch', [2, 3])
def test_between_open_and_write_of_last_checkpoint(killed_and_resumed, epoch):

    def prepare(runner):
        save = CheckpointHook._save_checkpoint

        def cut(self, runner):
            save(self, runner)
            if runner.epoch + 1 == epoch:
                open(os.path.join(runner.work_dir, 'last_checkpoint'),
                     'w').close()
                die()

        CheckpointHook._save_checkpoint = cut

    log = killed_and_resumed(prepare)
    assert 'last_checkpoint is empty' in log
    assert 'goes on from' in log and f'epoch_{epoch}.pth' in log


@pytest.mark.parametrize('seed', range(16))
def test_at_a_random_moment(tmp_path, forked, teacher, whole, resumed, count,
                            seed):
    kind = KINDS[seed % 2]
    after = whole['seconds'] * random.Random(seed).uniform(0., 0.8)

    def prepare(runner):
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, after)

    # A run that is faster than the one that was timed ends before the alarm:
    # once more, then, with half of the time.
    for attempt in range(10):
        work_dir = tmp_path / f'run{attempt}'
        ended = forked(train, work_dir, teacher, kind, prepare=prepare)
        if ended.code:
            break
        after /= 2
    assert ended.code == -signal.SIGPROF, ended.log
    resumed(work_dir, kind)
    count('kills')


@pytest.mark.parametrize('seed', range(6))
def test_killed_again_and_again(tmp_path, forked, teacher, resumed, count,
                                seed):
    work_dir, kind = tmp_path / 'run', KINDS[seed % 2]
    moments = random.Random(seed)
    for attempt in range(3):

        def prepare(runner):
            runner.register_hook(
                KillAt(
                    moments.choice(['before_val', 'after_val_epoch']),
                    4 * (attempt + 1),
                    moments.random() < 0.5))

        ended = forked(
            train, work_dir, teacher, kind, attempt > 0, prepare=prepare)
        assert ended.code in (0, 9), ended.log
        count('kills')
    resumed(work_dir, kind)


class SignalAt(Hook):
    """Sends the process a signal at a stage."""

    priority = 'HIGHEST'

    def __init__(self, stage, iteration):

        def send(runner, *_, **__):
            if runner.iter == iteration:
                os.kill(os.getpid(), signal.SIGTERM)

        setattr(self, stage, send)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('stage, iteration', [('before_train_iter', 0),
                                              ('after_train_iter', 5),
                                              ('after_train_iter', 7),
                                              ('before_val', 8),
                                              ('after_val_iter', 12),
                                              ('after_val_epoch', 12),
                                              ('after_train_iter', 13)])
def test_sigterm_loses_nothing(tmp_path, forked, teacher, resumed, count,
                               stage, iteration, kind):
    work_dir = tmp_path / 'run'

    def prepare(runner):
        runner.register_hook(SignalAt(stage, iteration))
        runner.register_hook(StopOnSignalHook())

    ended = forked(train, work_dir, teacher, kind, prepare=prepare)
    assert ended.code == 143, ended.log
    assert 'SIGTERM was received' in ended.log and '--resume' in ended.log
    resumed(work_dir, kind)
    count('signals')


def test_what_is_taken_elsewhere_is_the_checkpoint_alone(
        tmp_path, forked, teacher, whole):
    (tmp_path / 'carried').mkdir()
    shutil.copy(whole['validation'] / 'epoch_3.pth', tmp_path / 'carried')
    carried = str(tmp_path / 'carried' / 'epoch_3.pth')

    def prepare(runner):
        runner._resume, runner._load_from = True, carried

    # The third validation is made up for, and the stop that it decides.
    ended = forked(train, tmp_path / 'run', teacher, prepare=prepare)
    assert ended.code == 0, ended.log
    rows = (tmp_path / 'run' / 'w2s_record.jsonl').read_text().splitlines()
    assert [(r['event'], r['iter'])
            for r in map(json.loads, rows)] == [('teacher', 0), ('val', 4),
                                                ('val', 8), ('val', 12),
                                                ('stop', 12)]
