# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy
import weakref

import pytest
import torch
from builders import batch, build, losses_of, teacher_of
from entries import BOX, CLS, FPN, SPY, entry
from mmengine.logging import MMLogger
from torch import nn
from toys import retinanet

from mmw2s.distillation.auto_weight import weighted_task
from mmw2s.distillation.distiller import Distiller
from mmw2s.distillation.terms import build_terms
from mmw2s.profiling.dry_run import noted_pairs
from mmw2s.registry import SCHEDULES

STUDENT, TEACHER = retinanet(50, channels=8), retinanet(18, channels=8)


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    return teacher_of(TEACHER, tmp_path_factory.mktemp('t') / 'teacher.pth')


@pytest.fixture
def student():
    return build(STUDENT).train()


@pytest.fixture
def distill(student, teacher):
    """Makes distillers and takes their hooks off again."""
    made = []

    def make(*entries,
             schedule=None,
             student=student,
             teacher=teacher,
             **fields):
        distiller = Distiller(
            student, teacher, build_terms(entries),
            SCHEDULES.build(schedule or dict(type='Constant', value=1.)),
            **fields)
        made.append(distiller)
        distiller.bind(100, 10)
        distiller.attach()
        return distiller

    yield make
    for distiller in made:
        distiller.remove()


def step(distiller, student, iteration=0, size=(64, 64)):
    """One forward, as in a run: the task's losses, and what joins them."""
    inputs, samples = batch(size=size)
    distiller.step(iteration)
    try:
        return losses_of(student, inputs, samples)
    finally:  # a student may have several, which take turns
        distiller.step(iteration, strength=0.)


# -- what fits -----------------------------------------------------------


@pytest.mark.parametrize('loss', ['KDLoss', 'DISTLoss', 'PKDLoss'])
def test_a_loss_of_other_scores_than_the_heads_is_refused(distill, loss):
    with pytest.raises(
            ValueError,
            match=f'loss_kd_cls: {loss} compares .*, but DenseHeadOutputs '
            'gives sigmoid scores: .* such as QualityFocalKDLoss'):
        distill(dict(CLS, loss=dict(type=loss)))


def test_a_softmax_head_takes_the_losses_of_softmax_scores(distill, tmp_path):
    cfg = retinanet(18, channels=8)
    cfg['bbox_head']['loss_cls'] = dict(type='CrossEntropyLoss')
    models = dict(
        student=build(cfg), teacher=teacher_of(cfg, tmp_path / 'a.pth'))
    distill(dict(CLS, loss=dict(type='DISTLoss')), **models)
    with pytest.raises(ValueError, match='gives softmax .* such as KDLoss'):
        distill(CLS, **models)


# -- losses --------------------------------------------------------------


def test_it_gives_a_loss_for_each_entry(distill, student):
    task, kd = step(distill(FPN, CLS, BOX), student)
    assert list(kd) == ['loss_kd_fpn', 'loss_kd_cls', 'loss_kd_box']
    assert not set(kd) & set(task)
    for loss in kd.values():
        assert loss.shape == () and torch.isfinite(loss)
    total, logged = student.parse_losses({**task, **kd})
    assert total.item() == pytest.approx(
        student.parse_losses(task)[0].item() + sum(kd.values()).item(),
        rel=1e-5)
    assert set(kd) < set(logged)


def test_gradients_reach_the_student_and_never_the_teacher(
        distill, student, teacher):
    before = copy.deepcopy(teacher.model.state_dict())
    _, kd = step(distill(FPN, CLS, BOX), student)
    sum(kd.values()).backward()
    for part in (student.backbone.layer2, student.neck, student.bbox_head):
        assert any(p.grad is not None and p.grad.abs().sum() > 0
                   for p in part.parameters())
    assert all(p.grad is None for p in teacher.model.parameters())
    after = teacher.model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_the_teacher_is_no_part_of_the_student(distill, student):
    keys, count = list(student.state_dict()), len(list(student.parameters()))
    step(distill(FPN, CLS), student)
    assert list(student.state_dict()) == keys
    assert len(list(student.parameters())) == count
    assert list(build(STUDENT).state_dict()) == keys


def test_equal_models_have_nothing_to_tell_each_other(distill, tmp_path):
    cfg = retinanet(18, channels=8, norm_eval=True)
    teacher = teacher_of(cfg, tmp_path / 'same.pth', seed=5)
    student = build(cfg, seed=5).train()
    _, kd = step(
        distill(FPN, CLS, BOX, student=student, teacher=teacher), student)
    assert max(loss.item() for loss in kd.values()) < 1e-6


def test_the_strength_is_a_factor_of_every_loss(distill, student):
    student.eval().training = True  # no statistics move between the two
    full = step(distill(FPN, CLS), student)[1]
    half = step(
        distill(FPN, CLS, schedule=dict(type='Constant', value=.5)),
        student)[1]
    for key in full:
        assert half[key].item() == pytest.approx(full[key].item() / 2)


@pytest.mark.parametrize('strength, weight', [(1., 0.4), (0.5, 0.7),
                                              (3., 0.4)])
def test_the_weight_of_the_task_goes_with_the_strength(distill, student,
                                                       strength, weight):
    constant = dict(type='Constant', value=strength)
    plain = distill(FPN, schedule=constant)
    weighted = distill(FPN, schedule=constant, task_weight=0.4)
    student.eval().training = True  # no statistics move between the two
    task, kd = step(plain, student)
    _, joined = step(weighted, student)
    own = {key: joined.pop(key) for key in task}
    assert joined == kd
    assert student.parse_losses(own)[0].item() == pytest.approx(
        weight * student.parse_losses(task)[0].item())


def test_what_is_no_loss_of_the_task_is_not_weighted():
    given = dict(
        loss_cls=[torch.tensor(1.), torch.tensor(3.)],
        loss_bbox=torch.tensor(4.),
        acc=torch.tensor(9.))
    assert weighted_task(given, 0.5, 1.) == dict(
        loss_cls=[torch.tensor(.5), torch.tensor(1.5)],
        loss_bbox=torch.tensor(2.))


def test_at_strength_0_the_teacher_is_never_run(distill, student, teacher):
    runs = []
    handle = teacher.model.backbone.register_forward_hook(
        lambda *_: runs.append(1))
    distiller = distill(
        FPN,
        CLS,
        schedule=dict(
            type='Linear', start=0., end=1., begin=5, length=5, unit='iter'))
    inputs, samples = batch()
    distiller.step(3)
    assert distiller.strength == 0
    student(inputs, samples, mode='loss')
    assert not runs
    step(distiller, student, 7)
    handle.remove()
    assert runs == [1]


def test_the_teacher_runs_once_a_step_and_no_deeper_than_asked(
        distill, student, teacher):
    runs = []
    handles = [
        module.register_forward_hook(lambda *_, n=name: runs.append(n))
        for name, module in (('backbone', teacher.model.backbone),
                             ('head', teacher.model.bbox_head.retina_reg))
    ]
    step(distill(FPN, entry(FPN, name='again')), student)
    assert runs == ['backbone']
    runs.clear()
    step(distill(FPN, CLS, BOX), student)
    for handle in handles:
        handle.remove()
    assert runs == ['backbone', 'head', 'head', 'head']


def test_an_interrupted_forward_leaves_nothing_behind(distill, student):
    distiller = distill(FPN, CLS)
    inputs, samples = batch()
    distiller.step(0)
    student.neck.register_forward_hook(_interrupt)
    with pytest.raises(Interrupted):
        student(inputs, samples, mode='loss')
    student.neck._forward_hooks.popitem()
    _, expected = step(distiller, student, 1)
    assert len(expected) == 2
    maps = [weakref.ref(x) for x in student.neck(student.backbone(inputs))]
    distiller.step(2, strength=0.)
    assert all(ref() is None for ref in maps)


class Interrupted(Exception):
    pass


def _interrupt(*_):
    raise Interrupted


def test_images_of_any_size_are_taken(distill, student):
    distiller = distill(FPN, CLS)
    for size in ((64, 64), (96, 64), (32, 32)):
        assert all(
            torch.isfinite(loss)
            for loss in step(distiller, student, size=size)[1].values())


def test_each_pair_is_measured_for_the_dry_run(distill, student):
    distiller = distill(FPN, CLS)
    with noted_pairs(distiller) as noted:
        _, kd = step(distiller, student)
    measured = noted['loss_kd_fpn'] + noted['loss_kd_cls']
    assert [m.pair.name for m in measured] == [
        'neck[0]', 'neck[1]', 'neck[2]', 'bbox_head.scores[0]',
        'bbox_head.scores[1]', 'bbox_head.scores[2]'
    ]
    for key in kd:
        assert kd[key].item() == pytest.approx(
            sum(m.value for m in measured if m.key == key), rel=1e-5)


def test_remove_takes_every_hook_off_both_models(student, teacher, distill):
    distiller = distill(FPN, CLS)
    hooked = [
        m for model in (student, teacher.model) for m in model.modules()
        if m._forward_hooks
    ]
    assert len(hooked) == 5 and student._forward_pre_hooks
    distiller.remove()
    assert not any(m._forward_hooks for m in hooked)
    assert not student._forward_pre_hooks


# -- temperature and automatic weights -----------------------------------


def test_temperatures_follow_their_schedule(distill, student):
    fall = dict(type='Linear', start=6., end=1., length=50, unit='iter')
    distiller = distill(
        entry(SPY, name='hot', temperature=fall), entry(SPY, name='cold'))
    for iteration, expected in ((0, 6.), (25, 3.5), (80, 1.)):
        _, kd = step(distiller, student, iteration)
        assert kd['loss_kd_hot'].item() == pytest.approx(expected)
        assert kd['loss_kd_cold'].item() == 0
        assert distiller.temperatures == dict(loss_kd_hot=expected)


@pytest.mark.parametrize('length, is_fine', [(0.5, False), (0.9, True)])
def test_a_temperature_that_reaches_0_while_it_distills_is_refused(
        distill, length, is_fine):
    fall = dict(type='Linear', start=4., end=0., length=length, unit='run')
    until_70 = dict(
        type='WarmupHoldDecay', warmup=0., hold=0.6, decay=0.1, unit='run')
    if is_fine:
        distill(entry(SPY, temperature=fall), schedule=until_70)
        return
    with pytest.raises(
            ValueError, match='should stay above 0, but goes from 4 to 0'):
        distill(entry(SPY, temperature=fall), schedule=until_70)


def test_auto_weight_holds_the_loss_at_its_share_of_the_task_loss(
        distill, student):
    distiller = distill(
        entry(FPN, loss_loss_weight='auto', auto_ratio=0.25), CLS)
    plain = distill(entry(FPN, loss_loss_weight=1.), CLS)
    task, kd = step(distiller, student)
    expected = 0.25 * student.parse_losses(task)[0].item()
    assert kd['loss_kd_fpn'].item() == pytest.approx(expected, rel=1e-3)
    student.eval().training = True
    task, kd = step(distiller, student)
    _, raw = step(plain, student)
    means = distiller.state_dict()['loss_kd_fpn']['means']
    assert kd['loss_kd_fpn'].item() == pytest.approx(
        0.25 * means[0] / (means[1] + 1e-4) * raw['loss_kd_fpn'].item(),
        rel=1e-4)
    assert kd['loss_kd_cls'].item() == pytest.approx(raw['loss_kd_cls'].item())


def test_the_state_of_automatic_weights_round_trips(distill, student):
    auto = entry(FPN, loss_loss_weight='auto')
    first, second = distill(auto, CLS), distill(auto, CLS)
    for i in range(3):
        step(first, student, i)
    assert list(first.state_dict()) == ['loss_kd_fpn']
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    student.eval().training = True
    a, b = (step(d, student)[1]['loss_kd_fpn'] for d in (first, second))
    assert a.item() == pytest.approx(b.item(), rel=1e-6)


def test_a_state_of_other_entries_is_passed_over(distill):
    distill(FPN).load_state_dict(dict(loss_kd_fpn=dict(means=[1., 1.])))
    distill(entry(FPN, loss_loss_weight='auto')).load_state_dict({})


def test_what_follows_the_labels_is_refused_as_a_strength(distill):
    with pytest.raises(
            ValueError, match='schedule=DynamicTemperature is no strength'):
        distill(FPN, schedule=dict(type='DynamicTemperature'))


# -- trained adapters ----------------------------------------------------


def test_trained_adapters_learn_beside_the_student(distill, student, tmp_path):
    wide = teacher_of(retinanet(18, channels=12), tmp_path / 'wide.pth')
    trained = dict(FPN, knowledge=dict(type='FPNFeatures', adapter='trained'))
    distiller = distill(trained, teacher=wide)
    own = [p.clone() for p in student.parameters()]
    losses = []
    for i in range(20):
        with noted_pairs(distiller) as noted:
            _, kd = step(distiller, student, i)
        losses.append(kd['loss_kd_fpn'].item())
    assert losses[-1] < losses[0]
    pair = noted['loss_kd_fpn'][0].pair
    assert pair.student.shape == pair.teacher.shape
    kd['loss_kd_fpn'].backward()
    assert all(map(torch.equal, student.parameters(), own))
    assert student.neck.lateral_convs[0].conv.weight.grad.abs().sum() > 0
    saved = distiller.state_dict()['loss_kd_fpn']['adapters']
    assert [s['weights'][0].shape
            for s in saved.values()] == [(12, 8, 1, 1)] * 3


# -- refused in the first batch ------------------------------------------


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
@pytest.mark.parametrize('what', [FPN, CLS, BOX])
def test_a_teacher_that_is_not_finite_is_refused_by_place(
        distill, student, tmp_path, value, what):
    teacher = teacher_of(TEACHER, tmp_path / 'nan.pth')
    teacher.model.neck.fpn_convs[0].conv.bias.fill_(value)
    with pytest.raises(
            ValueError,
            match=r'teacher RetinaNet gives values at '
            r'(neck|bbox_head\.\w+)\[0\] that are not finite'):
        step(distill(what, teacher=teacher), student)


def test_each_forward_of_an_iteration_is_distilled(distill, student):
    distiller = distill(CLS)
    student.eval().training = True  # no statistics move between the two
    inputs, samples = batch()
    distiller.step(0)
    first, second = (losses_of(student, inputs, samples)[1] for _ in range(2))
    assert first == second and set(first) == {'loss_kd_cls'}


def test_a_module_that_is_not_called_in_loss_mode_is_refused(distill, student):
    knowledge = dict(type='FPNFeatures', module='data_preprocessor')
    with pytest.raises(
            RuntimeError,
            match="student's data_preprocessor was "
            'not called.*loss_kd_fpn'):
        step(distill(dict(FPN, knowledge=knowledge)), student)


def test_two_models_that_do_not_fit_are_refused_and_leave_no_hook(
        student, teacher):
    other = build(retinanet(50, channels=8, num_classes=3))
    with pytest.raises(ValueError, match='2 classes'):
        Distiller(other, teacher, build_terms([FPN, CLS]),
                  SCHEDULES.build(dict(type='Constant', value=1.)))
    assert not any(
        m._forward_hooks for model in (other, teacher.model)
        for m in model.modules())


class Failing(nn.Module):
    """A loss that meets what it was not written for."""

    error = TypeError('no')

    def forward(self, *args, **kwargs):
        raise self.error


@pytest.mark.parametrize('error', [
    TypeError('no'),
    IndexError('no'),
    RuntimeError('no'),
    ValueError('no'),
    ZeroDivisionError('no')
])
def test_a_failure_in_a_step_names_entry_modules_and_what_to_do(
        distill, student, error):
    distiller = distill(CLS)
    distiller.terms[0] = distiller.terms[0]._replace(loss=Failing())
    Failing.error = error
    with pytest.raises(
            ValueError,
            match="loss_kd_cls: what the student's bbox_head and the "
            "teacher's bbox_head give could not be compared by "
            f'DenseHeadOutputs and Failing .{type(error).__name__}: no.*'
            'knowledge FPNFeatures'):
        step(distiller, student)


def test_a_check_that_a_head_does_not_bear_is_told_too(distill, student):
    del student.bbox_head.num_classes
    with pytest.raises(
            ValueError,
            match="loss_kd_cls: .*student's bbox_head.*AttributeError: 'Reti"):
        distill(CLS)


def test_what_a_knowledge_has_told_itself_is_left_as_it_is(
        distill, student, teacher, tmp_path):
    other = teacher_of(TEACHER, tmp_path / 'other.pth')
    other.model.bbox_head.retina_cls = nn.Conv2d(8, 9, 3, padding=1)
    with pytest.raises(ValueError, match=r'^bbox_head.scores\[0\]: the stud'):
        step(distill(CLS, teacher=other), student)


@pytest.mark.parametrize('error', [
    torch.OutOfMemoryError('full'),
    MemoryError('full'),
    RuntimeError('DefaultCPUAllocator: can\'t allocate memory'),
    KeyboardInterrupt()
])
def test_what_the_machine_says_is_passed_on(distill, student, error):
    distiller = distill(CLS)
    distiller.terms[0] = distiller.terms[0]._replace(loss=Failing())
    Failing.error = error
    with pytest.raises(type(error)) as raised:
        step(distiller, student)
    assert raised.value is error


# -- its gradient beside the task's ----------------------------------------


def heavy(weight):
    return dict(FPN, loss=dict(type='PKDLoss', loss_weight=weight))


def test_a_drowned_task_is_told_once_at_the_first_batch(
        distill, student, capsys):
    MMLogger.get_instance('drowned', logger_name='drowned')
    distiller = distill(heavy(1e9))
    step(distiller, student)
    assert 'gradient of loss_kd_fpn is' in capsys.readouterr().out
    step(distiller, student, 1)
    assert capsys.readouterr().out == ''


def test_a_distillation_of_the_tasks_order_is_not_told(distill, student,
                                                       capsys):
    MMLogger.get_instance('drowned', logger_name='drowned')
    step(distill(heavy(1e-3)), student)
    assert capsys.readouterr().out == ''


def test_what_is_told_is_that_of_full_strength(distill, student, capsys):
    MMLogger.get_instance('drowned', logger_name='drowned')
    weak = dict(type='Constant', value=1e-9)
    step(distill(heavy(1e9), schedule=weak), student)
    assert 'loss_kd_fpn' in capsys.readouterr().out


def test_looking_at_gradients_changes_none(distill, student, monkeypatch):
    found = []
    for look in (True, False):
        if not look:
            monkeypatch.setattr(Distiller, 'shares', lambda *_: {})
        student.zero_grad()
        task, losses = step(distill(FPN, CLS), student)
        student.parse_losses({**task, **losses})[0].backward()
        found.append([
            p.grad.clone() for p in student.parameters() if p.grad is not None
        ])
    assert len(found[0]) == len(found[1])
    assert all(torch.equal(*pair) for pair in zip(*found))
