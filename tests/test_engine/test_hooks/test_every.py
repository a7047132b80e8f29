# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Distillation in each n-th update alone, through the Runner."""
import pytest
import torch
from builders import teacher_field
from mmengine.registry import HOOKS
from runs import assert_same_weights, rows, train, train_watched
from tiny_classifiers import classifier, run_config

from mmw2s.distillation import Recorder
from mmw2s.distillation.teacher_outputs import TeacherOutputs
from mmw2s.engine.logged_scalars import StepTimes

HIDDEN = dict(
    knowledge=dict(type='HiddenFeatures', adapter='trained'),
    loss=dict(type='PKDLoss', loss_weight='auto'))
LOGITS = dict(
    knowledge=dict(type='ClassLogits'),
    loss=dict(type='DKDLoss'),
    temperature=dict(type='DynamicTemperature'))
HALF = dict(type='Constant', value=0.5)


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    return teacher_field(
        classifier(4),
        tmp_path_factory.mktemp('teacher') / 'teacher.pth',
        scope='mmpretrain')


@pytest.fixture
def forwards(monkeypatch):
    """The teacher's forwards on batches."""
    made = []
    run = TeacherOutputs._run_whole, TeacherOutputs._run

    monkeypatch.setattr(TeacherOutputs, '_run_whole', lambda view:
                        (made.append(view), run[0](view))[1])
    monkeypatch.setattr(
        TeacherOutputs, '_run', lambda view, forward:
        (made.append(view), run[1](view, forward))[1])
    return made


def config(work_dir, teacher, every, epochs=3, **fields):
    fields = {
        **dict(
            distill=[HIDDEN, LOGITS],
            schedule=HALF,
            stop=dict(type='At', iter=10**6)),
        **fields
    }
    return run_config(work_dir, epochs, [
        dict(
            type='WeakTeacherDistillHook',
            teacher=teacher,
            every=every,
            **fields)
    ])


def on(key='loss_kd_logits'):
    """Whether a step distilled, and the strength that the log shows."""

    def look(runner, outputs):
        strength = runner.message_hub.get_scalar('train/w2s/strength')
        return outputs[key].item() != 0, strength.current()

    return look


@pytest.mark.parametrize('updates_of, turns', [
    (1, [0, 3, 6, 9]),
    (2, [0, 1, 6, 7]),
])
def test_the_teacher_runs_in_each_third_update_alone(teacher, tmp_path,
                                                     forwards, updates_of,
                                                     turns):
    cfg = config(tmp_path, teacher, 3)
    cfg.optim_wrapper.accumulative_counts = updates_of
    _, seen = train_watched(cfg, on())
    assert [i for i, (distilled, _) in enumerate(seen) if distilled] == turns
    assert len(forwards) == len(turns)
    assert {strength for _, strength in seen} == {0.5}


def test_between_them_nothing_of_a_batch_is_recorded(teacher, tmp_path,
                                                     monkeypatch):
    opened = []
    open_it = Recorder.open

    def noted(recorder, *args, **kwargs):
        opened.append(recorder._owner)
        open_it(recorder, *args, **kwargs)

    monkeypatch.setattr(Recorder, 'open', noted)
    _, seen = train_watched(
        config(tmp_path, teacher, 2, epochs=1),
        lambda runner, outputs: opened.count('student'))
    assert seen == [1, 1, 2, 2]


def test_the_first_batch_distills_at_so_many_times_the_weight(
        teacher, tmp_path):
    losses = {}
    for every in (1, 4):
        _, seen = train_watched(
            config(tmp_path / f'{every}', teacher, every, epochs=1))
        losses[every] = seen[0]
        assert sum(loss['loss_kd_logits'] != 0 for loss in seen) == 4 // every
    for key in ('loss_kd_hidden', 'loss_kd_logits'):
        assert losses[4][key] == pytest.approx(4 * losses[1][key], rel=1e-5)


def test_the_weight_of_the_task_is_that_of_all_iterations(teacher, tmp_path):
    seen = {}
    for weight in (1., 0.4):
        cfg = config(
            tmp_path / f'{weight}',
            teacher,
            2,
            epochs=1,
            distill=[LOGITS],
            task_weight=weight)
        cfg.optim_wrapper.optimizer.lr = 0.
        seen[weight] = train_watched(
            cfg, lambda runner, outputs: outputs['loss'].item())[1]
    # At half the strength, 0.4 is half as far from 1.
    assert seen[0.4] == pytest.approx([0.7 * x for x in seen[1.]], rel=1e-5)


def test_a_resumed_run_takes_the_turns_of_the_unbroken_one(teacher, tmp_path):
    whole = train(config(tmp_path, teacher, 3))
    state = torch.load(tmp_path / 'epoch_3.pth', weights_only=False)['w2s']
    cut = config(tmp_path, teacher, 3)
    cut.resume, cut.load_from = True, str(tmp_path / 'epoch_1.pth')
    resumed, seen = train_watched(cut, on())
    assert [distilled for distilled, _ in seen] == \
        [i % 3 == 0 for i in range(4, 12)]
    assert_same_weights(whole, resumed)
    again = torch.load(tmp_path / 'epoch_3.pth', weights_only=False)['w2s']
    for key in ('loss_kd_hidden', 'loss_kd_logits'):
        torch.testing.assert_close(again[key], state[key], rtol=0, atol=0)


def test_at_strength_0_and_after_the_stop_it_is_as_without_the_hook(
        teacher, tmp_path):
    plain = train(run_config(tmp_path / 'plain', 2))
    later = dict(
        type='Linear', start=0., end=1., begin=1000, length=10, unit='iter')
    hooked = train(
        config(tmp_path / 'hooked', teacher, 2, epochs=2, schedule=later))
    assert_same_weights(plain, hooked)
    stopped = train(
        config(
            tmp_path / 'stopped',
            teacher,
            2,
            epochs=3,
            stop=dict(type='At', epoch=2)))
    gone_on = run_config(tmp_path / 'gone_on', 3, resume=True)
    gone_on.load_from = str(tmp_path / 'stopped' / 'epoch_2.pth')
    assert_same_weights(stopped, train(gone_on))


def test_training_losses_are_looked_at_as_often_as_without_it(
        teacher, tmp_path):
    stop = dict(type='SurpassOnTrain', interval=3, min_looks=100, latest=None)
    train(config(tmp_path, teacher, 2, distill=[LOGITS], stop=stop))
    assert [row['iter'] for row in rows(tmp_path, 'train')] == [3, 6, 9, 12]


def test_the_record_has_the_mean_of_a_step_with_and_one_without(
        teacher, tmp_path, monkeypatch):
    told = []
    set_point = StepTimes.set_point

    def noted(times, runner, turn):
        told.append(turn)
        set_point(times, runner, turn)

    monkeypatch.setattr(StepTimes, 'set_point', noted)
    monkeypatch.setattr('mmw2s.utils.timing.Stopwatch.median_ms', 12.)
    cfg = config(tmp_path, teacher, 3, stop=dict(type='At', epoch=2))
    cfg.optim_wrapper.accumulative_counts = 2
    train(cfg)
    assert told == [6]
    assert rows(tmp_path, 'stop')[0]['teacher_ms'] == 4.


@pytest.mark.parametrize('every', [0, -1, 1.5, '2', True])
def test_what_is_no_number_of_updates_is_refused(every):
    with pytest.raises(ValueError, match='every should be an integer >= 1'):
        HOOKS.build(
            dict(type='WeakTeacherDistillHook', teacher='x', every=every))


def test_a_task_that_is_never_learned_between_them_is_refused():
    with pytest.raises(ValueError, match='every is 2 and task_weight 0'):
        HOOKS.build(
            dict(
                type='WeakTeacherDistillHook',
                teacher='x',
                every=2,
                task_weight=0.))
