# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Stop rules and schedules that follow training steps, through the Runner."""
import pytest
import torch
from builders import teacher_field
from runs import assert_same_weights, rows, train, train_watched
from tiny_classifiers import classifier, run_config

from mmw2s.distillation.module_share import ModuleShareWeight

HIDDEN = dict(knowledge=dict(type='HiddenFeatures'), loss=dict(type='PKDLoss'))
LOGITS = dict(
    knowledge=dict(type='ClassLogits'),
    loss=dict(type='KDLoss', temperature=1.))
NEVER = dict(type='At', iter=10**6)


def conflict(**fields):
    return dict(type='StopOnConflict', interval=3, latest=None, **fields)


def saturation(**fields):
    return dict(
        type='StopOnSaturation', interval=2, patience=2, latest=None, **fields)


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    return teacher_field(
        classifier(4),
        tmp_path_factory.mktemp('teacher') / 'teacher.pth',
        scope='mmpretrain')


def config(work_dir, teacher, stop=NEVER, distill=(HIDDEN, LOGITS), **fields):
    fields = {**dict(schedule=dict(type='Constant', value=1.)), **fields}
    return run_config(work_dir, 3, [
        dict(
            type='WeakTeacherDistillHook',
            teacher=teacher,
            distill=list(distill),
            stop=stop,
            **fields)
    ])


def test_looks_leave_the_training_as_it_is(teacher, tmp_path):
    plain = train(config(tmp_path / 'plain', teacher))
    looked = train(
        config(
            tmp_path / 'looked',
            teacher,
            conflict(threshold=-1.),
            distill=[
                dict(HIDDEN, stop=saturation(min_gain=0.)),
                dict(LOGITS, stop=conflict(threshold=-1.))
            ]))
    assert_same_weights(plain, looked)
    cosines = rows(tmp_path / 'looked', 'cosine')
    assert [row['iter'] for row in cosines] == [3, 6, 9, 12]
    assert all(row['values'].keys() == {'all', 'loss_kd_logits'} and all(
        -1 <= value <= 1 for value in row['values'].values())
               for row in cosines)
    losses = rows(tmp_path / 'looked', 'kd_loss')
    assert [row['iter'] for row in losses] == [2, 4, 6, 8, 10, 12]
    assert all(row['values'].keys() == {'loss_kd_hidden'} for row in losses)


def test_a_recorded_loss_is_the_steps_at_full_strength(teacher, tmp_path):
    cfg = config(
        tmp_path,
        teacher,
        saturation(min_gain=0.),
        schedule=dict(type='Constant', value=0.5),
        every=2)
    _, seen = train_watched(
        cfg, lambda runner, outputs: sum(value.item()
                                         for key, value in outputs.items()
                                         if 'kd' in key))
    for row in rows(tmp_path, 'kd_loss'):
        # At half of the strength, and twice the weight.
        assert row['values']['all'] == pytest.approx(
            seen[row['iter'] - 1], rel=1e-5)
    assert [row['iter'] for row in rows(tmp_path, 'kd_loss')] == \
        [3, 5, 7, 9, 11]


@pytest.mark.parametrize('rule, reason', [
    (conflict(threshold=1., looks=2), 'the cosine of its gradient and'),
    (saturation(min_gain=0.99), 'its loss fell by less than 99% in 2 looks'),
])
def test_a_run_ends_by_what_it_saw_and_a_resumed_one_too(
        teacher, tmp_path, rule, reason):
    whole = train(config(tmp_path, teacher, rule))
    stop, = rows(tmp_path, 'stop')
    assert stop['iter'] == 6 and stop['reason'].startswith(reason)
    seen = rows(tmp_path)
    again = config(tmp_path, teacher, rule)
    again.resume, again.load_from = True, str(tmp_path / 'epoch_1.pth')
    assert_same_weights(whole, train(again))
    for before, after in zip(seen, rows(tmp_path)):
        assert {**before, 'step_ms': 0, 'teacher_ms': 0} == \
            {**after, 'step_ms': 0, 'teacher_ms': 0}


def test_two_that_compare_training_losses_have_their_own_intervals(
        teacher, tmp_path):
    cfg = config(
        tmp_path,
        teacher,
        dict(type='SurpassOnTrain', interval=4, min_looks=99, latest=None),
        schedule=dict(type='FollowGap', by='train', interval=3))
    train(cfg)
    assert [row['iter'] for row in rows(tmp_path, 'train')] == \
        [3, 4, 6, 8, 9, 12]


@pytest.mark.parametrize('by', ['validation', 'train'])
def test_the_strength_follows_the_gap_in_a_resumed_run_too(
        teacher, tmp_path, by):

    def strength(runner, outputs):
        return runner.message_hub.get_scalar('train/w2s/strength').current()

    schedule = dict(type='FollowGap', by=by, interval=3, full=5.)
    cfg = config(tmp_path, teacher, schedule=schedule)
    whole, seen = train_watched(cfg, strength)
    # Until the first comparison it is at its peak.
    first = 4 if by == 'validation' else 3
    assert seen[:first] == [1.] * first and len(set(seen)) > 1
    if by == 'validation':
        scores = [
            row['metrics']['accuracy/top1'] for row in rows(tmp_path, 'val')
        ]
        best = rows(tmp_path, 'teacher')[0]['metrics']['accuracy/top1']
        assert seen[4:] == pytest.approx([
            min(max((best - score) / best / 5, 0), 1) for score in scores[:2]
            for _ in range(4)
        ])
    again = config(tmp_path, teacher, schedule=schedule)
    again.resume, again.load_from = True, str(tmp_path / 'epoch_2.pth')
    resumed, rest = train_watched(again, strength)
    assert rest == seen[8:]
    assert_same_weights(whole, resumed)


def test_what_the_run_cannot_answer_is_refused(teacher, tmp_path):
    cfg = config(tmp_path, teacher, schedule=dict(type='FollowGap'))
    cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
    with pytest.raises(
            ValueError, match='schedule=FollowGap decides on validations'):
        train(cfg)


def test_a_map_that_is_changed_in_place_after_it_was_given_is_told(
        teacher, tmp_path):
    # The ReLU after the stem writes into what bn1 gives.
    stem = dict(
        HIDDEN, knowledge=dict(type='HiddenFeatures', module='backbone.bn1'))
    with pytest.raises(ValueError, match='have no map in common'):
        train(config(tmp_path, teacher, conflict(), distill=[stem]))


def test_the_weight_by_a_modules_gradient_follows_the_steps_own(
        teacher, tmp_path, monkeypatch):
    seen = []
    see = ModuleShareWeight.see

    def noted(follow, student):
        see(follow, student)
        whole = [p.grad.flatten() for p in student.parameters()]
        head = [p.grad.flatten() for p in student.head.parameters()]
        share = torch.cat(head).norm() / torch.cat(whole).norm()
        seen.append((share.item(), follow.state_dict()['share']))

    monkeypatch.setattr(ModuleShareWeight, 'see', noted)
    auto = dict(
        HIDDEN,
        loss=dict(type='PKDLoss', loss_weight='auto'),
        auto_module='head')
    monkeypatch.setattr(ModuleShareWeight.__init__, '__defaults__',
                        (0.05, 0., 2))
    fields = dict(distill=[auto, LOGITS], every=2)
    whole = train(config(tmp_path, teacher, **fields))
    assert len(seen) == 6  # the updates that distill
    assert all(mean == pytest.approx(share, rel=1e-4) for share, mean in seen)
    state = torch.load(tmp_path / 'epoch_3.pth', weights_only=False)['w2s']
    assert state['loss_kd_hidden']['weight'] != 1.
    again = config(tmp_path, teacher, **fields)
    again.resume, again.load_from = True, str(tmp_path / 'epoch_1.pth')
    assert_same_weights(whole, train(again))
