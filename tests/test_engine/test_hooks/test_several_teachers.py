# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Several teachers of one student, one after another or at once."""
import copy

import pytest
from builders import teacher_field
from mmengine.hooks import Hook
from mmengine.registry import MODELS
from mmengine.runner import Runner
from mmpretrain.models.heads import LinearClsHead
from runs import assert_same_weights, hooks_on, rows, train, train_watched
from tiny_classifiers import CLASSES, classifier, run_config

from mmw2s.analysis import Run
from mmw2s.engine.hooks import WeakTeacherDistillHook
from mmw2s.profiling.rehearsal import Rehearsal
from mmw2s.records.files import read_events
from mmw2s.watch.progress import RunProgress

LOGITS = dict(
    knowledge=dict(type='ClassLogits'),
    loss=dict(type='KDLoss', temperature=4.))
FEATURES = dict(
    name='maps',
    knowledge=dict(type='HiddenFeatures', adapter='trained'),
    loss=dict(type='PKDLoss', loss_weight='auto'))
HALF = dict(type='Constant', value=0.5)


@pytest.fixture(scope='module')
def teachers(tmp_path_factory):
    """Two, of other weights and widths."""
    folder = tmp_path_factory.mktemp('teachers')
    return [
        teacher_field(
            classifier(width),
            folder / f'{width}.pth',
            scope='mmpretrain',
            dataset_meta=dict(classes=CLASSES)) for width in (2, 4)
    ]


def hook(teacher, distill=LOGITS, stop=10**6, **fields):
    return dict(
        type='WeakTeacherDistillHook',
        teacher=teacher,
        distill=[distill],
        schedule=HALF,
        stop=dict(type='At', iter=stop),
        **fields)


def kd_losses(runner, outputs):
    """The distillation losses of a step that are not 0."""
    return {
        key: value.item()
        for key, value in outputs.items() if '_kd_' in key and value != 0
    }


def test_the_second_takes_over_where_the_first_has_ended(teachers, tmp_path):
    cfg = run_config(tmp_path, 3, [
        hook(teachers[0], stop=4),
        hook(teachers[1], name='w2s_b', after='w2s', stop=9)
    ])
    runner, seen = train_watched(cfg, kd_losses)
    assert [sorted(losses) for losses in seen] == \
        [['loss_kd_logits']] * 4 + [['loss_kd_w2s_b/logits']] * 5 + [[]] * 3
    assert hooks_on(runner.model) == 0
    for name, iteration in dict(w2s=4, w2s_b=9).items():
        assert [
            (r['event'], r['iter']) for r in rows(tmp_path, name=name)
        ] == [('teacher', 0), *(('val', i) for i in (4, 8) if i <= iteration),
              ('stop', iteration)]


def test_at_once_each_adds_what_it_adds_alone(teachers, tmp_path):
    """In the first step, whose weights no teacher has changed yet."""
    both = [
        hook(teachers[0], stop=1),
        hook(teachers[1], FEATURES, stop=1, name='w2s_b')
    ]

    def first_losses(name, *hooks):
        cfg = run_config(tmp_path / name, 1, copy.deepcopy(list(hooks)))
        return train_watched(
            cfg, lambda _, out: {
                k: v.item()
                for k, v in out.items()
            })[1][0]

    alone = first_losses('alone', both[0])
    further = first_losses('further', {
        k: v
        for k, v in both[1].items() if k != 'name'
    })
    together = first_losses('together', *both)
    assert together['loss_kd_logits'] == alone['loss_kd_logits']
    # By 'auto' it is weighed by the task's loss, without the other's.
    assert together['loss_kd_w2s_b/maps'] == further['loss_kd_maps']
    assert together.keys() - alone.keys() == {'loss_kd_w2s_b/maps'}


def test_a_further_teacher_after_the_first_is_as_if_it_were_alone(
        teachers, tmp_path):
    """The first ends before the first step, and leaves no trace."""
    one = run_config(tmp_path / 'one', 2, [hook(teachers[1], FEATURES)])
    two = run_config(tmp_path / 'two', 2, [
        hook(teachers[0], stop=0),
        hook(teachers[1], FEATURES, name='w2s_b', after='w2s')
    ])
    assert_same_weights(train(one), train(two))


def test_one_that_is_surpassed_while_it_waits_never_teaches(
        teachers, tmp_path):
    later = hook(teachers[1], name='w2s_b', after='w2s')
    later['stop'] = dict(
        type='SurpassTeacher',
        metric='accuracy/top1',
        teacher_score=-1.,
        latest=None)
    cfg = run_config(tmp_path, 3, [hook(teachers[0], stop=11), later])
    _, seen = train_watched(cfg, kd_losses)
    assert {key for losses in seen for key in losses} == {'loss_kd_logits'}
    stop = rows(tmp_path, name='w2s_b')[-1]
    assert (stop['event'], stop['iter']) == ('stop', 8)


def test_by_training_losses_the_students_own_are_compared(teachers, tmp_path):
    seen = {}
    for name, hooks in dict(
            alone=[], beside=[hook(teachers[0], name='w2s_a')]).items():
        looks = hook(teachers[1])
        looks['stop'] = dict(
            type='SurpassOnTrain', interval=1, margin=0.9, latest=None)
        cfg = run_config(tmp_path / name, 1, [looks, *hooks])
        if hooks:  # the other one adds its losses first
            cfg.custom_hooks = cfg.custom_hooks[::-1]
        train(cfg)
        seen[name] = rows(tmp_path / name, 'train')[0]
    assert seen['alone'] == seen['beside']


class Cut(Hook):
    """Ends a run before an iteration."""

    def __init__(self, at):
        self.at = at

    def before_train_iter(self, runner, *_, **__):
        if runner.iter == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize('at', [5, 8, 10])
def test_a_resumed_run_ends_as_the_unbroken_one(teachers, tmp_path, at):

    def config(name):
        cfg = run_config(tmp_path / name, 3, [
            hook(teachers[0], stop=6),
            hook(teachers[1], FEATURES, name='w2s_b', after='w2s', stop=9),
            hook(teachers[0], name='w2s_c')
        ])
        cfg.default_hooks = dict(
            checkpoint=dict(type='CheckpointHook', interval=1))
        return cfg

    whole = train(config('whole'))
    with pytest.raises(KeyboardInterrupt):
        train(config('cut'), Cut(at))
    cfg = config('cut')
    cfg.resume = True
    resumed = train(cfg)
    assert_same_weights(whole, resumed)
    for name in ('w2s', 'w2s_b', 'w2s_c'):
        found = [[{
            k: v
            for k, v in row.items() if not k.endswith(('_ms', 'seconds'))
        } for row in rows(tmp_path / folder, name=name)]
                 for folder in ('whole', 'cut')]
        assert found[0] == found[1]


def test_readers_of_the_run_see_the_last_stop(teachers, tmp_path):
    cfg = run_config(tmp_path, 3, [
        hook(teachers[0], stop=4),
        hook(teachers[1], name='w2s_b', stop=9),
        dict(type='TimeToTargetHook')
    ])
    train(cfg)
    assert Run.load(str(tmp_path)).stop['iter'] == 9
    assert RunProgress.read(str(tmp_path)).stop.iteration == 9
    lines = (tmp_path / 'w2s_b_record.jsonl').read_text().splitlines()
    (tmp_path / 'w2s_b_record.jsonl').write_text('\n'.join(lines[:-1]) + '\n')
    run = Run.load(str(tmp_path))
    assert run.stop is None and run.had_teacher


def test_records_of_an_earlier_run_are_set_aside_together(teachers, tmp_path):
    cfg = run_config(tmp_path, 1, [
        hook(teachers[0]),
        hook(teachers[1], name='w2s_b'),
        dict(type='TimeToTargetHook')
    ])
    train(copy.deepcopy(cfg))
    earlier = Run.load(str(tmp_path)).events
    cfg.custom_hooks = cfg.custom_hooks[:1]
    train(cfg)
    assert not (tmp_path / 'w2s_b_record.jsonl').exists()
    aside = Run.load(str(tmp_path / 'time_to_target.1.json'))
    assert aside.events == earlier and len(earlier) == 4


@pytest.mark.parametrize('second, message', [
    (dict(), "more than one WeakTeacherDistillHook of the name 'w2s'"),
    (dict(name='larger'), 'name should be "w2s"'),
    (dict(name='w2s_b', after='w2s_c'), r'called before .* \(w2s; .* but'),
    (dict(name='w2s_b', after='w2s_b'), r'called before .* \(w2s; .* but'),
    (dict(name='w2s_b', task_weight=.5), 'task_weight of .* several teachers'),
])
def test_what_would_be_mixed_up_is_refused(teachers, tmp_path, second,
                                           message):
    cfg = run_config(
        tmp_path, 1,
        [hook(teachers[0]), hook(teachers[1], **second)])
    with pytest.raises(ValueError, match=message):
        train(cfg)


def test_a_name_alone_or_two_starts_are_refused(teachers, tmp_path):
    cfg = run_config(tmp_path, 1, [hook(teachers[0], name='w2s_b')])
    with pytest.raises(ValueError, match='no hook of the name "w2s"'):
        train(cfg)
    start = dict(type='Inherit', modules=['head'])
    cfg = run_config(tmp_path, 1, [
        hook(teachers[0], start=start),
        hook(teachers[1], name='w2s_b', start=start)
    ])
    with pytest.raises(ValueError, match='start is given for w2s, w2s_b'):
        train(cfg)


def test_the_log_of_a_teacher_can_be_pasted(teachers, tmp_path):
    cfg = run_config(
        tmp_path, 1,
        [hook(teachers[0]),
         hook(teachers[1], name='w2s_b', after='w2s')])
    cfg.experiment_name = 'pasted'
    runner = Runner.from_cfg(cfg)
    runner.train()
    second = [
        h for h in runner.hooks if isinstance(h, WeakTeacherDistillHook)
    ][1]
    pasted: dict = {}
    exec(second.session.in_full(), pasted)
    given = pasted['default_hooks']['w2s_b']
    assert (given['name'], given['after']) == ('w2s_b', 'w2s')
    assert WeakTeacherDistillHook(**{
        k: v
        for k, v in given.items() if k != 'type'
    }).fields.name == 'w2s_b'


def test_a_rehearsal_builds_all_and_shows_the_first(teachers, tmp_path):
    cfg = run_config(
        tmp_path, 1,
        [hook(teachers[0]),
         hook(teachers[1], FEATURES, name='w2s_b')])
    run = Rehearsal(cfg, str(tmp_path / 'rehearsal'))
    run.begin()
    losses = run.train(run.batches(1)).losses
    assert [key for key in losses if 'kd' in key] == ['loss_kd_logits']
    cfg.custom_hooks[1]['teacher'] = dict(
        teachers[1], checkpoint=str(tmp_path / 'none.pth'))
    with pytest.raises(FileNotFoundError):
        Rehearsal(cfg, str(tmp_path / 'missing')).begin()


def test_a_start_alone_and_a_teacher_beside_it_are_both_shown(
        teachers, tmp_path):
    first = hook(teachers[1], start=dict(type='Corner'))
    first['distill'] = []
    cfg = run_config(
        tmp_path, 1,
        [first, hook(teachers[0], name='w2s_b', after='w2s')])
    run = Rehearsal(cfg, str(tmp_path / 'rehearsal'))
    run.begin()
    assert run.hook.fields.name == 'w2s_b'
    assert 'loss_kd_w2s_b/logits' in run.train(run.batches(1)).losses


@MODELS.register_module()
class NamedHead(LinearClsHead):
    """One whose loss has a name of its own, so that `loss` is a sum."""

    def loss(self, *args, **kwargs):
        return dict(loss_cls=super().loss(*args, **kwargs)['loss'])


def distance_from_sum(runner, outputs):
    """Of the smoothed `loss` in the log, from that of the others."""
    means = {
        key: buffer.mean(10)
        for key, buffer in runner.message_hub.log_scalars.items()
        if key.startswith('train/loss')
    }
    return abs(2 * means['train/loss'] - sum(means.values()))


@pytest.mark.parametrize('after', [None, 'w2s'])
def test_in_each_line_the_loss_is_the_sum_of_the_others(
        teachers, tmp_path, after, capsys):
    """Also where a stop comes at the end of a step, by training losses."""
    of_sums = teacher_field(
        classifier(2, type='NamedHead'),
        tmp_path / 't.pth',
        scope='mmpretrain',
        dataset_meta=dict(classes=CLASSES))
    first = hook(of_sums)
    first['stop'] = dict(
        type='SurpassOnTrain',
        interval=1,
        min_looks=4,
        margin=-1e6,
        latest=None)
    cfg = run_config(
        tmp_path,
        3, [first, hook(teachers[1], name='w2s_b', after=after, stop=9)],
        model=classifier(8, type='NamedHead'))
    _, seen = train_watched(cfg, distance_from_sum)
    assert rows(tmp_path)[-1]['iter'] == 4
    assert rows(tmp_path, name='w2s_b')[-1]['iter'] == 9
    assert max(seen) < 1e-5
    assert 'has no RuntimeInfoHook' not in capsys.readouterr().out


def test_a_teacher_that_may_have_no_turn_is_warned_of(teachers, tmp_path,
                                                      capsys):
    later = hook(teachers[1], name='w2s_b', after='w2s', stop=8)
    for stop, warned in ((8, True), (7, False)):
        cfg = run_config(tmp_path / str(stop), 2,
                         [hook(teachers[0], stop=stop), later])
        train(cfg)
        assert ('it may never teach' in capsys.readouterr().out) is warned


def test_a_teacher_that_is_taken_out_is_forgotten(teachers, tmp_path):
    hooks = [hook(teachers[0]), hook(teachers[1], name='w2s_b')]
    cfg = run_config(tmp_path, 2, hooks)
    cfg.default_hooks = dict(
        checkpoint=dict(type='CheckpointHook', interval=1))
    with pytest.raises(KeyboardInterrupt):
        train(copy.deepcopy(cfg), Cut(5))
    cfg.custom_hooks, cfg.resume = cfg.custom_hooks[:1], True
    runner = train(cfg)
    assert not any('w2s_b' in key for key in runner.message_hub.log_scalars)
    assert (tmp_path / 'w2s_b_record.1.jsonl').exists()
    assert {row.get('hook') for row in read_events(str(tmp_path))} == {None}
