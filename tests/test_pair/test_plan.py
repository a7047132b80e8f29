# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json
from dataclasses import replace
from pathlib import Path

import pytest
from mmengine.config import Config
from toys import retinanet

from mmw2s.pair import starting
from mmw2s.pair.options import AUTO, Options
from mmw2s.pair.plan import Plan, is_planned, make_plan, prepare
from mmw2s.pair.starting import choose_start


@pytest.fixture
def options(student):
    return Options(student, 'pair', seeds=(0, 3))


def test_the_student_is_given_the_teacher_and_a_start(options):
    plan = prepare(options)
    cfg = Config.fromfile('pair/student.py')
    assert cfg.default_hooks.w2s == dict(
        type='mmw2s.WeakTeacherDistillHook',
        teacher=dict(
            config=str(Path('pair/teacher.py').absolute()),
            checkpoint=str(Path('pair/teacher.pth').absolute())),
        start=dict(type='Grow'),
        distill=[])
    assert cfg.default_hooks.time_to_target.type == 'mmw2s.TimeToTargetHook'
    model = Config.fromfile('pair/teacher.py').model
    assert model.backbone.blocks == [1] * 4
    assert 2 * model.neck.out_channels == cfg.model.neck.out_channels
    assert plan.notes[1].startswith('Its neck and heads have 0.5')
    assert plan.notes[-2].startswith('The student starts by Grow: ')
    assert plan.notes[-1].startswith(
        'The teacher gives its weights alone, nothing is distilled. Students')


def test_a_derived_teacher_of_given_weights_is_in_the_folder_too(options):
    Path('weak.pth').touch()
    plan = prepare(replace(options, teacher_checkpoint='weak.pth'))
    teacher = Config.fromfile('pair/student.py').default_hooks.w2s.teacher
    assert teacher.checkpoint == str(Path('weak.pth').absolute())
    assert Config.fromfile(teacher.config).model.backbone.blocks == [1] * 4
    assert [stage.name
            for stage in plan.stages] == ['student_s0', 'student_s3']


def test_a_student_without_validation_is_refused_before_it_is_trained(options):
    cfg = Config.fromfile(options.student)
    cfg.update(val_dataloader=None, val_cfg=None, val_evaluator=None)
    cfg.dump('blind.py')
    Path('weak.pth').touch()
    with pytest.raises(ValueError, match='has no val_dataloader, val_eval'):
        make_plan(
            replace(
                options, student='blind.py', teacher_checkpoint='weak.pth'))


def test_the_baselines_come_first_and_the_students_last(options):
    options = replace(options, with_baseline=True)
    plan = prepare(options)
    assert [(s.name, s.seed, s.options) for s in plan.stages
            ] == [('student_s0_baseline', 0, ('--no-distill', )),
                  ('student_s3_baseline', 3, ('--no-distill', )),
                  ('teacher', None, ()), ('student_s0', 0, ()),
                  ('student_s3', 3, ())]
    assert plan.baselines == [s.work_dir for s in plan.own_baselines]


def test_a_teacher_may_give_its_weights_alone(options):
    plan = prepare(replace(options, start='Inherit', teach='no'))
    hook = Config.fromfile('pair/student.py').default_hooks.w2s
    assert hook.start.type == 'Inherit' and hook.distill == []
    assert 'The teacher gives its weights alone, nothing is distilled.' in \
        plan.notes


@pytest.mark.parametrize('changes', [
    dict(teacher_cfg_options={'model.backbone.base_channels': 3}),
    dict(teacher_checkpoint='weak.pth'),
    dict(start='Inherit', teach='no'),
    dict(start='Corner'),
    dict(start='none'),
])
def test_a_teacher_out_of_which_nothing_grows_keeps_its_heads(
        options, changes):
    Path('weak.pth').touch()
    configs = make_plan(replace(options, **changes)).configs
    neck = configs['teacher'].model.neck
    assert neck.out_channels == configs['student'].model.neck.out_channels


@pytest.mark.parametrize('teacher, tries', [('derive', 2), ('own', 1)])
def test_only_narrow_heads_are_tried_before_others(options, teacher, tries,
                                                   monkeypatch):
    asked = []

    def no_growth(wanted, student, teacher):
        asked.append(teacher.model.neck.out_channels)
        return dict(type='Inherit'), 'It starts.'

    monkeypatch.setattr(starting, 'choose_start', no_growth)
    name = options.student if teacher == 'own' else teacher
    made, *_ = starting.teacher_and_start(
        replace(options, teacher=name), Config.fromfile(options.student))
    assert len(asked) == tries and not made.has_narrow_heads


def with_hook(options, **fields):
    """Give the student's config a hook with these fields."""
    cfg = Config.fromfile(options.student)
    cfg.default_hooks = dict(
        w2s=dict(
            type='mmw2s.WeakTeacherDistillHook', teacher='any.py', **fields))
    cfg.dump(options.student)
    return replace(options, teacher='derive')


GROW = dict(type='Grow')


@pytest.mark.parametrize('changes, fields', [
    (dict(teach='yes'), dict()),
    (dict(start='Inherit'), dict()),
    (dict(), dict(distill='full')),
    (dict(), dict(distill=None)),
    (dict(), dict(start=GROW)),
])
def test_otherwise_it_may_teach_too(options, changes, fields):
    make = replace(with_hook(options, **fields), **changes)
    configs = make_plan(make).configs
    hook = configs['student'].default_hooks.w2s
    assert hook.get('distill') == fields.get('distill')
    # So its features have the student's channels.
    neck = configs['teacher'].model.neck
    assert neck.out_channels == configs['student'].model.neck.out_channels


@pytest.mark.parametrize('changes, fields, message', [
    (dict(teach='no',
          start='none'), dict(), '--teach no .* has no start. The'),
    (dict(teach='no'), dict(distill='full'), '--teach no, but .* .full'),
    (dict(teach='yes'), dict(start=GROW, distill=[]), '--teach yes, but '),
    (dict(start='none'), dict(start=GROW, distill=[]), 'there is no start'),
])
def test_teaching_is_asked_for_once(options, changes, fields, message):
    with pytest.raises(ValueError, match=message):
        make_plan(replace(with_hook(options, **fields), **changes))


def test_a_start_of_the_config_is_tried_too(options):
    options = replace(
        with_hook(options, start=GROW),
        teacher_cfg_options={'model.backbone.base_channels': 24})
    with pytest.raises(ValueError, match='cannot begin as the teacher'):
        make_plan(options)


def test_a_lower_rate_is_warned_of_where_nothing_is_taught(options):
    notes = make_plan(replace(options, student_lr=0.5)).notes
    assert any('ended far lower' in note for note in notes)
    notes = make_plan(replace(options, student_lr=0.5, teach='yes')).notes
    assert not any('ended far lower' in note for note in notes)


@pytest.mark.parametrize('changes, rate', [
    (dict(), 1),
    (dict(teach='yes'), 0.5),
    (dict(teach='yes', student_lr=1.), 1),
    (dict(teach='yes', start='Inherit'), 1),
])
def test_a_student_that_grows_and_is_taught_has_half_the_rate(
        options, changes, rate):
    own = Config.fromfile(options.student).optim_wrapper.optimizer.lr
    plan = prepare(replace(options, with_baseline=True, **changes))
    assert Config.fromfile(
        plan.students[0].config).optim_wrapper.optimizer.lr == own * rate
    again = prepare(replace(options, with_baseline=True, **changes))
    for stage in (plan.own_baselines[0], again.own_baselines[0]):
        assert Config.fromfile(stage.config).optim_wrapper.optimizer.lr == own


def test_a_rate_that_is_chosen_is_told_and_refuses_nothing(options):
    options = replace(options, teach='yes')
    assert any('multiplied by 0.5: it grows' in note
               for note in make_plan(options).notes)
    cfg = Config.fromfile(options.student)
    cfg.optim_wrapper.optimizer.pop('lr')
    cfg.dump(options.student)
    assert any(
        'better, but optim_wrapper.optimizer.lr should be a number' in note
        for note in make_plan(options).notes)


def test_a_plan_that_was_cut_short_leaves_no_baseline(options):
    options = replace(options, with_baseline=True)
    prepare(replace(options, student_lr=0.5))
    Path('pair/plan.json').unlink()  # it is written last
    plan = make_plan(options)
    assert plan.own_baselines[0].config == plan.students[0].config
    for plan in (prepare(options), prepare(options)):
        assert plan.own_baselines[0].config == plan.students[0].config


def test_a_start_of_the_config_keeps_its_rate(options):
    options = replace(with_hook(options, start=GROW), teach='yes')
    assert not any('multiplied' in note for note in make_plan(options).notes)


def test_a_student_of_another_learning_rate_has_a_baseline_of_its_own(options):
    own = Config.fromfile(options.student).optim_wrapper.optimizer.lr
    plan = prepare(replace(options, with_baseline=True, student_lr=0.5))
    assert plan.notes[-1] == \
        'The student\'s learning rate is multiplied by 0.5.'
    rates = [
        Config.fromfile(stage.config).optim_wrapper.optimizer.lr
        for stage in (plan.own_baselines[0], plan.teacher, plan.students[0])
    ]
    assert rates == [own, own, own / 2]


def test_a_student_without_a_learning_rate_is_not_given_another(options):
    cfg = Config.fromfile(options.student)
    cfg.optim_wrapper.optimizer.pop('lr')
    cfg.dump(options.student)
    with pytest.raises(ValueError, match='--student-lr 0.5: .*it is None'):
        prepare(replace(options, student_lr=0.5))


def test_a_shorter_student_has_a_baseline_of_the_whole_length(options):
    cfg = Config.fromfile(options.student)
    cfg.param_scheduler = [dict(type='CosineAnnealingLR', T_max=4, end=4)]
    cfg.dump(options.student)
    plan = prepare(replace(options, with_baseline=True, student_length=0.5))
    assert plan.notes[-1] == \
        'The student is trained for 2 of its 4 epochs.'
    baseline, student = (
        Config.fromfile(stage.config)
        for stage in (plan.own_baselines[0], plan.students[0]))
    assert baseline.train_cfg.max_epochs == 4
    assert student.train_cfg.max_epochs == 2
    assert student.param_scheduler[0].end == 2
    assert {k for k in student if student[k] != baseline[k]} == \
        {'train_cfg', 'param_scheduler'}


def test_baselines_that_were_recorded_are_not_trained(options):
    plan = make_plan(replace(options, baseline=['a', 'b']))
    assert plan.baselines == ['a', 'b'] and not plan.own_baselines


def test_the_hook_of_the_config_keeps_its_other_fields(options):
    cfg = Config.fromfile('student.py')
    cfg.custom_hooks = [
        dict(
            type='WeakTeacherDistillHook',
            teacher='weak.py',
            stop=dict(type='At', iter=3),
            start=dict(type='Corner'))
    ]
    cfg.dump('student.py')
    weak = cfg.copy()
    weak.model = retinanet(18)
    weak.dump('weak.py')
    hook, = make_plan(options).configs['student'].custom_hooks
    assert hook.stop == dict(type='At', iter=3)
    assert hook.start == dict(type='Corner')
    assert hook.teacher.config.endswith('pair/teacher.py')
    hook, = make_plan(replace(options,
                              start='none')).configs['student'].custom_hooks
    assert 'start' not in hook


def test_a_second_call_reads_the_plan_and_decides_nothing(
        options, monkeypatch):
    first = prepare(options)
    before = Path('pair/teacher.py').read_text()
    monkeypatch.setattr('mmw2s.pair.plan.make_plan', None)
    second = prepare(options)
    assert second.notes == first.notes and second.stages == first.stages
    assert Path('pair/teacher.py').read_text() == before


def test_a_plan_that_was_cut_is_made_anew(options):
    prepare(options)
    Path('pair/plan.json').unlink()
    Path('pair/student.py').write_text('model = ')
    prepare(options)
    assert 'w2s' in Config.fromfile('pair/student.py').default_hooks


@pytest.mark.parametrize('change, message', [
    (dict(seeds=(0, 4)), 'option.seeds.1 was 3, now 4'),
    (dict(useful_at=.5), 'option.useful_at was 0.85, now 0.5'),
    (dict(cfg_options={'model.bbox_head.feat_channels': 8}),
     'student.model.bbox_head.feat_channels was 16, now 8'),
])
def test_another_command_is_refused_with_what_differs(options, change,
                                                      message):
    prepare(options)
    with pytest.raises(ValueError) as refused:
        prepare(replace(options, **change))
    assert message in str(refused.value)
    assert 'give another --work-dir' in str(refused.value)


def test_how_runs_are_judged_may_be_put_right_until_a_teacher_was_chosen(
        options):
    prepare(options)
    right = replace(options, best=.5, metric='coco/bbox_mAP')
    assert prepare(right).options.best == .5
    assert prepare(right).options == right
    Path('pair/teacher.pth.json').write_text('{}')
    prepare(right)
    with pytest.raises(ValueError, match='option.best was 0.5, now None'):
        prepare(options)


def test_a_teacher_in_the_hook_that_was_changed_is_refused(options):
    cfg = Config.fromfile('student.py')
    cfg.dump('weak.py')
    cfg.default_hooks.w2s = dict(
        type='WeakTeacherDistillHook', teacher=dict(config='weak.py'))
    cfg.dump('student.py')
    prepare(options)
    with open('weak.py', 'a') as file:
        file.write("\nrandomness = dict(seed=5)\n")
    with pytest.raises(ValueError, match='teacher.randomness.seed was'):
        prepare(options)


def test_a_config_that_was_changed_is_refused(options):
    prepare(options)
    with open('student.py', 'a') as file:
        file.write("\noptim_wrapper = dict(type='AmpOptimWrapper')\n")
    with pytest.raises(ValueError, match="type was 'OptimWrapper', now 'Amp"):
        prepare(options)


def test_a_plan_says_all_in_json(options):
    prepare(options)
    stored = json.loads(Path('pair/plan.json').read_text())
    assert stored['trains_teacher'] is True
    assert stored['asked']['option.useful_at'] == '0.85'


def test_a_start_that_does_not_fit_is_refused_or_left():
    from tiny_diffusion import diffusion
    student, teacher = (Config(dict(model=diffusion(w))) for w in (16, 8))
    detector = Config(dict(default_scope='mmdet', model=retinanet(50)))
    weak = Config(dict(default_scope='mmdet', model=retinanet(18)))
    assert choose_start('none', detector, weak)[0] is None
    assert choose_start('auto', detector, weak)[0] == dict(type='Inherit')
    with pytest.raises(ValueError, match='use start=dict'):
        choose_start('Grow', detector, weak)
    start, note = choose_start('auto', student, teacher)
    assert start == dict(type='Grow') and '100.0%' in note


def test_it_is_said_why_the_student_does_not_grow():
    student, teacher = (
        Config(dict(default_scope='mmdet', model=retinanet(depth)))
        for depth in (50, 18))
    note = choose_start(AUTO, student, teacher)[1]
    assert note.startswith('The student starts by Inherit: ')
    assert 'its blocks are of Bottleneck' in note


def test_no_start_fits():
    from tiny_diffusion import diffusion
    student, teacher = (Config(dict(model=diffusion(w))) for w in (16, 12))
    start, note = choose_start(AUTO, student, teacher)
    assert start is None and note.startswith('No start fits the two models: ')


def of_classes(depth, classes):
    return Config(
        dict(
            default_scope='mmdet',
            model=retinanet(depth),
            train_dataloader=dict(
                dataset=dict(
                    type='CocoDataset', metainfo=dict(classes=classes)))))


def test_a_student_does_not_grow_out_of_a_teacher_of_other_classes():
    teacher = of_classes(18, ('cat', 'dog'))
    for classes, start in ((('cat', 'dog'), 'Grow'), (('dog', 'cat'),
                                                      'Inherit')):
        student = of_classes(34, classes)
        assert choose_start(AUTO, student, teacher)[0] == dict(type=start)


def test_a_student_that_begins_with_a_checkpoint_has_no_start(options):
    cfg = Config.fromfile(options.student)
    cfg.load_from = 'begun.pth'
    cfg.dump(options.student)
    hook = make_plan(options).configs['student'].default_hooks.w2s
    assert 'start' not in hook
    with pytest.raises(ValueError, match='weights of load_from .begun.pth.'):
        make_plan(replace(options, start='Inherit'))


def test_a_folder_from_before_an_option_goes_on(options):
    assert not is_planned(options)
    prepare(options)
    assert is_planned(options)
    file = Path('pair/plan.json')
    stored = json.loads(file.read_text())
    assert stored['asked'].pop('option.student_lr') == 'None'
    file.write_text(json.dumps(stored))
    prepare(options)
    with pytest.raises(
            ValueError, match='option.student_lr was None, now 0.5'):
        prepare(replace(options, student_lr=0.5))


def test_a_student_keeps_its_pretrained_backbone():
    student, teacher = (
        Config(dict(default_scope='mmdet', model=retinanet(depth)))
        for depth in (34, 18))
    assert choose_start(AUTO, student, teacher)[0] == dict(type='Grow')
    student.model.backbone.init_cfg = dict(
        type='Pretrained', checkpoint='torchvision://resnet34')
    assert choose_start(AUTO, student, teacher)[0] == dict(type='Inherit')


def test_a_start_of_the_config_is_not_the_pairs(options):
    assert not prepare(options).starts_by_config
    cfg = Config.fromfile('student.py')
    cfg.default_hooks.w2s = dict(
        type='WeakTeacherDistillHook', start=dict(type='Inherit'))
    cfg.dump('student.py')
    assert Plan(options, True, []).starts_by_config
