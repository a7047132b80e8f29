# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmw2s.engine.hooks import TimeToTargetHook
from mmw2s.engine.run_log import (RunLog, refuse_another,
                                  run_missed_validation)

BY_EPOCH = dict(
    max_epochs=5,
    val_begin=2,
    val_interval=2,
    dynamic_intervals=[(4, 1)],
    by_epoch=True)
BY_ITER = dict(
    max_iters=10,
    val_begin=3,
    val_interval=2,
    dynamic_intervals=[(7, 3)],
    by_epoch=False)


class Cut(Exception):
    """Stands for a kill."""


class MissedValidation(Hook):
    """Runs the validation that is not among those on record."""
    priority = 'LOWEST'

    def __init__(self, recorded):
        self.recorded = recorded

    def before_train(self, runner):
        run_missed_validation(runner, lambda at: at not in self.recorded())


class Witness(Hook):
    """Notes the validations, and may cut the run after a checkpoint."""
    priority = 'LOWEST'

    def __init__(self, cut_at=None):
        self.cut_at, self.validated, self.trained = cut_at, [], []

    def after_train_iter(self,
                         runner,
                         batch_idx,
                         data_batch=None,
                         outputs=None):
        self.trained.append(runner.iter + 1)
        if not hasattr(runner.train_loop, 'run_epoch'):
            self._cut(runner.iter + 1)

    def after_train_epoch(self, runner):
        if hasattr(runner.train_loop, 'run_epoch'):
            self._cut(runner.iter)

    def after_val_epoch(self, runner, metrics=None):
        self.validated.append(runner.iter)

    def _cut(self, iters):
        if iters == self.cut_at:
            raise Cut


def config(toy, train_cfg, **kwargs) -> Config:
    by_epoch = train_cfg['by_epoch']
    cfg = toy.epoch_based_cfg if by_epoch else toy.iter_based_cfg
    cfg = cfg.copy()
    cfg.train_cfg = train_cfg
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', interval=1, by_epoch=by_epoch)
    cfg.merge_from_dict(kwargs)
    return cfg


def train(toy, cfg, witness, recorded):
    runner = toy.build_runner(cfg)
    runner.register_hook(witness)
    runner.register_hook(
        MissedValidation(lambda: recorded + witness.validated))
    try:
        runner.train()
    except Cut:
        pass
    return runner


@pytest.mark.parametrize('train_cfg, cut_at',
                         [(BY_EPOCH, 4 * epoch)
                          for epoch in range(1, 6)] + [(BY_ITER, i)
                                                       for i in range(1, 11)])
def test_a_cut_run_has_the_validations_of_an_unbroken_one(
        toy, train_cfg, cut_at):
    whole = Witness()
    train(toy, config(toy, train_cfg), whole, [])
    toy.clear_work_dir()

    first, second = Witness(cut_at), Witness()
    train(toy, config(toy, train_cfg), first, [])
    train(toy, config(toy, train_cfg, resume=True), second, first.validated)
    assert first.validated + second.validated == whole.validated
    assert first.trained + second.trained == whole.trained


def test_a_validation_on_record_is_not_run_again(toy):
    first, second = Witness(8), Witness()
    train(toy, config(toy, BY_EPOCH), first, [])
    runner = train(toy, config(toy, BY_EPOCH, resume=True), second, [8])
    assert 8 not in second.validated
    assert not run_missed_validation(runner,
                                     lambda at: at not in second.validated)


def test_a_fresh_run_is_not_validated_before_training(toy):
    runner = toy.build_runner(config(toy, BY_EPOCH))
    witness = Witness()
    runner.register_hook(witness)
    runner.train_loop, runner.val_loop  # built as train() does it
    assert not run_missed_validation(runner, lambda at: True)
    assert witness.validated == []


def test_a_stop_decided_by_the_missed_validation_holds_at_once(toy):

    @HOOKS.register_module(force=True)
    class Stop(Hook):

        def after_val_epoch(self, runner, metrics=None):
            runner.train_loop.stop_training = True

    train(toy, config(toy, BY_EPOCH), Witness(8), [])
    witness = Witness()
    cfg = config(toy, BY_EPOCH, resume=True)
    cfg.custom_hooks = [dict(type='Stop')]
    train(toy, cfg, witness, [])
    assert witness.validated == [8]
    assert witness.trained == []


class TestRunLog:

    def test_there_is_one_a_run(self, toy):
        runner, other = (
            toy.build_runner(config(toy, BY_EPOCH)) for _ in range(2))
        assert RunLog.of(runner) is RunLog.of(runner)
        assert RunLog.of(other) is not RunLog.of(runner)
        assert sum(isinstance(h, RunLog) for h in runner.hooks) == 1

    def test_it_runs_a_missed_validation_once_for_all_that_lack_it(self, toy):

        class Decides(Hook):

            def before_run(self, runner):
                self.log = RunLog.of(runner)

            def before_train(self, runner):
                self.record = self.log.open_decisions(
                    runner.work_dir,
                    runner.iter,
                    saved=[dict(event='teacher', iter=0, metrics={})])

            def after_val_epoch(self, runner, metrics=None):
                self.log.validated(runner.iter, 1., metrics)

        def run(witness, **kwargs):
            runner = toy.build_runner(config(toy, BY_EPOCH, **kwargs))
            hooks = TimeToTargetHook(), Decides()
            for hook in (*hooks, witness):
                runner.register_hook(hook)
            try:
                runner.train()
            except Cut:
                pass
            return hooks

        run(Witness(cut_at=8))
        witness = Witness()
        times, decides = run(witness, resume=True)
        assert witness.validated == [8, 12, 16, 20]
        for rows in (times.history, decides.record.of('val')):
            assert [row['iter'] for row in rows] == witness.validated

    def test_a_validation_outside_of_training_is_not_recorded(self, toy):
        runner = toy.build_runner(config(toy, BY_EPOCH))
        hook = TimeToTargetHook()
        runner.register_hook(hook)
        runner.train()
        recorded = list(hook.history)
        runner.train_loop._iter += 1  # of which there is no record yet
        runner.val_loop.run()
        runner.val()
        assert hook.history == recorded


class Own(Hook):
    pass


class Descendant(Own):
    pass


def test_one_among_others_is_taken():
    own = Own()
    refuse_another(SimpleNamespace(hooks=[Hook(), own, Hook()]), own)


@pytest.mark.parametrize('second', [Own, Descendant])
def test_a_second_one_is_refused(second):
    own = Own()
    with pytest.raises(ValueError, match='more than one Own .*keep one'):
        refuse_another(SimpleNamespace(hooks=[own, second()]), own)
