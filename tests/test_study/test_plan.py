# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
from mmengine.config import Config

from mmw2s.study.arms import ARMS
from mmw2s.utils.flat import differences, flat
from mmw2s.utils.hook_configs import hook_configs

EVERY = [
    name for name in ARMS if name not in ('label_smoothing', 'warm_up_cut')
]


def changed(plan, arm, other):
    """What differs between the configs of two arms: dotted names."""
    one, two = (
        flat('cfg', plan.configs[name].to_dict()) for name in (arm, other))
    return [text.split(' was ')[0] for text in differences(one, two)]


def test_each_arm_is_the_baseline_and_its_own_hook(planned, hook):
    plan = planned(arms=EVERY)
    assert not hook_configs(plan.configs['baseline'], 'WeakTeacherDistillHook')
    for arm in EVERY[1:]:
        names = changed(plan, 'baseline', arm)
        assert names and all(
            name.startswith(('cfg.default_hooks.w2s',
                             'cfg.default_hooks.checkpoint'))
            for name in names), arm
        teacher = hook(plan, arm).teacher
        assert teacher.config == plan.teacher_path(plan.teacher_of(arm), 'py')
        assert teacher.checkpoint.endswith(f'{plan.teacher_of(arm)}.pth')


def test_an_arm_changes_one_thing(planned, hook):
    plan = planned(arms=EVERY)
    assert hook(plan, 'start').distill == []
    assert hook(plan, 'start').start == dict(type='Inherit')
    assert changed(plan, 'distillation', 'both') == \
        ['cfg.default_hooks.w2s.start.type']
    assert changed(plan, 'both', 'start') == \
        ['cfg.default_hooks.w2s.distill']
    assert changed(plan, 'distillation', 'permuted_teacher') == \
        ['cfg.default_hooks.w2s.teacher.permute']
    assert hook(plan, 'permuted_teacher').teacher.permute is True
    assert changed(plan, 'start', 'untrained_start') == [
        'cfg.default_hooks.w2s.teacher.config',
        'cfg.default_hooks.w2s.teacher.checkpoint'
    ]
    # It may detect nothing, and so have no score.
    assert hook(plan, 'untrained_teacher').stop == dict(type='At', epoch=1.)
    assert hook(plan, 'fixed_epoch').stop == dict(type='At', epoch=.5)
    assert hook(plan, 'always_on').stop == dict(type='At', epoch=2.)
    assert hook(plan, 'always_on').schedule == dict(type='Constant', value=1.)


def test_the_warm_up_is_cut_in_the_started_arms_and_one_baseline(planned):
    arms = ['baseline', 'start', 'both', 'distillation', 'warm_up_cut']
    plan = planned(arms=arms, warm_up=.25)
    ends = {
        arm: [
            s.get('begin', s.get('end'))
            for s in plan.configs[arm].param_scheduler
        ]
        for arm in arms
    }
    assert ends == dict(
        baseline=[4, 4],
        start=[1, 1],
        both=[1, 1],
        distillation=[4, 4],
        warm_up_cut=[1, 1])
    with pytest.raises(ValueError, match='warm_up=0.25, or leave'):
        planned(arms=arms)
    with pytest.raises(ValueError, match='has none'):
        planned(arms=arms, warm_up=.5, cfg_options={'param_scheduler': None})


def test_labels_are_smoothed_for_a_classifier_alone(planned):
    with pytest.raises(ValueError, match='for classifiers.*RetinaNet'):
        planned(arms=['baseline', 'label_smoothing'])
    head = dict(
        type='LinearClsHead',
        loss=dict(type='CrossEntropyLoss', loss_weight=2.))
    cfg = ARMS['label_smoothing'].make(
        Config(dict(model=dict(type='ImageClassifier', head=head))), None)
    assert cfg.model.head.loss == dict(
        type='LabelSmoothLoss',
        label_smooth_val=.1,
        mode='original',
        loss_weight=2.)


def test_an_arm_of_ones_own_begins_like_another(planned, hook):
    key = 'default_hooks.w2s.task_weight'
    plan = planned(
        arms=dict(
            baseline={},
            mine=dict(like='both', cfg_options={key: .5}, seeds=[7]),
            plain=dict(cfg_options={key: .5})))
    assert hook(plan, 'mine').task_weight == .5
    assert 'start' in hook(plan, 'mine') and 'start' not in hook(plan, 'plain')
    assert list(plan.runs('mine')) == [7]
    assert plan.runs('mine')[7].work_dir.endswith('study/mine/seed_7')


def test_an_arm_with_a_run_of_its_own_length_stops_at_its_share(planned, hook):
    longer = {'train_cfg.max_epochs': 8}
    plan = planned(
        arms=dict(
            baseline={},
            **{
                f'long_{like}': dict(like=like, cfg_options=longer)
                for like in ('always_on', 'fixed_epoch', 'untrained_teacher')
            }))
    assert {
        arm: hook(plan, arm).stop.epoch
        for arm in plan.arms[1:]
    } == dict(
        long_always_on=8, long_fixed_epoch=2, long_untrained_teacher=4)


def test_checkpoints_are_kept_where_teachers_are_chosen_among_them(planned):
    plan = planned(arms=['baseline', 'teacher_80'])
    for name in ('baseline', 'teacher'):
        assert plan.configs[name].default_hooks.checkpoint.max_keep_ckpts == -1
    # Others save as often, so that their clocks can be compared.
    other = plan.configs['teacher_80'].default_hooks.checkpoint
    assert (other.interval, other.max_keep_ckpts) == (1, 1)
    assert 'max_keep_ckpts' not in \
        planned().configs['baseline'].default_hooks.checkpoint


def test_the_teachers_training_ends_when_useful_if_no_other_is_needed(planned):
    useful = dict(config='teacher.py', useful_at=.8)
    assert not planned().stops_when_useful
    plan = planned(teacher=useful)
    assert plan.stops_when_useful
    assert plan.configs['teacher'].default_hooks.stop_when_useful.share == .8
    assert not planned(
        teacher=useful, arms=['baseline', 'teacher_60']).stops_when_useful


def test_a_teacher_that_exists_is_not_trained(planned, hook):
    plan = planned(
        teacher=dict(
            config='teacher.py', checkpoint='weak.pth', precision='fp32'))
    assert plan.teacher_run is None and plan.checkpoint.endswith('weak.pth')
    assert hook(plan, 'both').teacher.precision == 'fp32'
    with pytest.raises(ValueError, match='download it first'):
        planned(
            teacher=dict(
                config='teacher.py', checkpoint='https://x.org/a.pth'))


def test_a_start_that_is_not_named_is_found(planned, hook):
    plan = planned(start='auto')
    assert hook(plan, 'both').start == dict(type='Inherit')
    assert any('starts by Inherit' in note for note in plan.notes)
