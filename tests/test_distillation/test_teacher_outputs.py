# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from types import SimpleNamespace

import pytest
import torch
from builders import TinyModel, batch, build, outputs_of, teacher_of
from mmengine.config import Config
from tiny_two_stage import faster_rcnn, picture_batch
from torch import nn
from toys import retinanet

from mmw2s.distillation.teacher import FrozenTeacher
from mmw2s.distillation.teacher_outputs import teacher_named, training_flag_up
from mmw2s.utils.timing import Stopwatch

SMALL = retinanet(18, channels=8)


@pytest.fixture
def teacher(tmp_path):
    return teacher_of(SMALL, tmp_path / 'teacher.pth')


def count(module):
    calls = []
    module.register_forward_hook(lambda *_: calls.append(1))
    return calls


def test_nothing_is_computed_before_it_is_asked_for_and_then_only_once(
        teacher):
    neck, head = (
        count(m) for m in (teacher.model.neck, teacher.model.bbox_head))
    outputs = outputs_of(teacher, ['neck', 'bbox_head'])
    assert not neck
    assert len(outputs['neck'][0].output) == 3
    assert len(outputs['bbox_head'][0].output) == 2
    assert outputs['neck'] is outputs['neck']
    assert len(neck) == len(head) == 1
    assert teacher.stopwatch.ms > 0 or torch.cuda.is_available()


def test_the_head_is_not_run_when_only_the_neck_is_asked_for(teacher):
    head = count(teacher.model.bbox_head)
    outputs_of(teacher, ['neck'])['neck']
    assert not head


def test_the_data_samples_are_left_as_they_were(teacher):
    inputs, samples = batch()
    outputs_of(
        teacher, ['bbox_head'], inputs=inputs, samples=samples)['bbox_head']
    assert not any('pred_instances' in sample for sample in samples)


def test_no_graph_is_kept(teacher):
    inputs, samples = batch()
    outputs = outputs_of(
        teacher, ['neck'], inputs=inputs.requires_grad_(), samples=samples)
    assert not any(level.requires_grad for level in outputs['neck'][0].output)


def test_it_computes_what_the_model_computes(teacher):
    inputs, samples = batch()
    outputs = outputs_of(
        teacher, ['bbox_head'], inputs=inputs, samples=samples)
    with torch.no_grad():
        expected = teacher.model.bbox_head(teacher.model.extract_feat(inputs))
    scores = outputs['bbox_head'][0].output[0]
    assert len(scores) == len(expected[0]) == 3
    for found, level in zip(scores, expected[0]):
        assert torch.equal(found, level)


def test_a_memo_is_computed_once_for_each_key(teacher):
    outputs, calls = outputs_of(teacher, ['neck']), []
    for key in ('a', 'b', 'a'):
        outputs.memo(key, lambda: calls.append(key))
    assert calls == ['a', 'b']


def test_a_forward_of_ones_own_takes_the_place_of_the_teachers(teacher):
    outputs = outputs_of(teacher, ['neck'])
    other = torch.zeros(1, 3, 64, 64)
    calls = outputs.through(lambda: teacher.model.extract_feat(other))
    assert len(calls['neck'][0].output[0]) == 1
    assert outputs['neck'] is calls['neck']
    assert outputs.through(lambda: 1 / 0) is calls
    assert teacher.stopwatch.ms > 0 or torch.cuda.is_available()


# -- the training form ---------------------------------------------------

FCOS = dict(
    SMALL,
    type='FCOS',
    bbox_head=dict(
        type='FCOSHead',
        num_classes=2,
        in_channels=8,
        feat_channels=8,
        stacked_convs=1,
        strides=[8, 16, 32],
        norm_on_bbox=True,
        regress_ranges=((-1, 16), (16, 32), (32, 1e8)),
        norm_cfg=dict(type='GN', num_groups=2),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True)),
    train_cfg=None)


def test_the_head_gives_what_it_gives_in_training(tmp_path):
    teacher = teacher_of(FCOS, tmp_path / 'fcos.pth')
    inputs, samples = batch()
    boxes = {
        form:
        outputs_of(
            teacher, ['bbox_head'], form=form, inputs=inputs,
            samples=samples)['bbox_head'][0].output[1]
        for form in ((), ('bbox_head', ))
    }
    assert [len(levels) for levels in boxes.values()] == [3, 3]
    for stride, decoded, raw in zip((8, 16, 32), *boxes.values()):
        assert torch.allclose(decoded, raw * stride) and raw.abs().sum() > 0


def test_only_the_head_itself_is_put_into_training_form(teacher):
    head, seen = teacher.model.bbox_head, []
    head.register_forward_pre_hook(lambda *_: seen.extend(
        (name, m.training) for name, m in teacher.model.named_modules()))
    outputs_of(teacher, ['bbox_head'], form=['bbox_head'])['bbox_head']
    assert [name for name, training in seen if training] == ['bbox_head']
    assert not any(m.training for m in teacher.model.modules())


def test_the_flag_is_restored_after_an_error():
    model = nn.Sequential(nn.Dropout(), nn.Dropout()).eval()
    with pytest.raises(RuntimeError):
        with training_flag_up(model, ['0']):
            assert model[0].training and not model[1].training
            raise RuntimeError
    assert not model[0].training


def test_an_error_of_the_teacher_is_passed_on_and_nothing_is_left(teacher):

    def fail(*_):
        raise torch.OutOfMemoryError('out of memory')

    handle = teacher.model.neck.register_forward_pre_hook(fail)
    outputs = outputs_of(teacher, ['neck', 'bbox_head'], form=['bbox_head'])
    with pytest.raises(RuntimeError, match='out of memory'):
        outputs['neck']
    assert not teacher.model.bbox_head.training
    handle.remove()
    assert len(outputs['neck']) == 1


# -- precision -----------------------------------------------------------


@pytest.mark.parametrize('precision, surrounding, expected', [
    ('run', None, torch.float32),
    ('run', torch.bfloat16, torch.bfloat16),
    ('fp32', torch.bfloat16, torch.float32),
    ('bf16', None, torch.bfloat16),
])
def test_it_computes_in_the_precision_that_was_chosen(tmp_path, precision,
                                                      surrounding, expected):
    teacher = teacher_of(SMALL, tmp_path / 't.pth', precision=precision)
    outputs = outputs_of(teacher, ['bbox_head'])
    with torch.autocast(
            'cpu', dtype=surrounding, enabled=surrounding is not None):
        scores = outputs['bbox_head'][0].output[0]
    assert {level.dtype for level in scores} == {expected}


# -- calls ---------------------------------------------------------------


def tiny_teacher(**fields):
    teacher = FrozenTeacher.__new__(FrozenTeacher)
    teacher.model, teacher.name = TinyModel(**fields), 'tiny'
    teacher.cfg, teacher.stopwatch = Config(), Stopwatch()
    teacher.precision, teacher.scale, teacher.permute = None, 1., False
    teacher._freeze()
    return teacher


def test_a_module_called_several_times_gives_as_many_calls():
    outputs = outputs_of(
        tiny_teacher(head_calls=3), ['head'], {'head': 2},
        inputs=torch.ones(1, 3, 4, 4))
    assert len(outputs['head']) == 2


def test_a_teacher_that_calls_it_less_often_than_the_student_is_refused():
    outputs = outputs_of(
        tiny_teacher(), ['body', 'head'],
        dict(body=1, head=2),
        inputs=torch.ones(1, 3, 4, 4))
    with pytest.raises(
            RuntimeError,
            match='teacher tiny calls head less '
            'often than the student'):
        outputs['head']


# -- its modules on given inputs -----------------------------------------


@pytest.mark.parametrize('precision, expected', [('fp32', torch.float32),
                                                 ('bf16', torch.bfloat16)])
def test_a_function_is_run_in_its_precision_and_without_a_graph(
        tmp_path, precision, expected):
    teacher = teacher_of(SMALL, tmp_path / 't.pth', precision=precision)
    outputs = outputs_of(teacher, ['neck'])
    maps = torch.ones(1, 8, 4, 4, requires_grad=True)
    result = outputs.run(teacher.model.neck.fpn_convs[0], maps)
    assert result.dtype == expected and not result.requires_grad
    assert torch.is_grad_enabled()


@pytest.mark.skipif(torch.cuda.is_available(), reason='has other clocks')
def test_the_time_of_a_function_is_part_of_the_teachers(teacher, now):
    outputs = outputs_of(teacher, ['neck'])
    outputs['neck']
    outputs.run(lambda: now.append(now.pop() + 0.5))
    assert teacher.stopwatch.ms == 500


# -- task loss -----------------------------------------------------------


@pytest.mark.parametrize('cfg', [SMALL, FCOS], ids=['retinanet', 'fcos'])
@pytest.mark.parametrize('form', [(), ('bbox_head', )])
def test_its_task_loss_is_that_of_the_same_model_in_training(
        tmp_path, cfg, form):
    teacher = teacher_of(cfg, tmp_path / 't.pth')
    inputs, samples = batch()
    found = outputs_of(
        teacher, ['neck'], form=form, inputs=inputs,
        samples=samples).task_losses()
    found, _ = teacher.model.parse_losses(found)
    # In training but for the normalization by batch statistics.
    model = build(cfg, 1).train()
    for child in model.modules():
        if isinstance(child, nn.BatchNorm2d):
            child.eval()
    expected, _ = model.parse_losses(model(inputs, samples, mode='loss'))
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert not found.requires_grad
    assert not any(m.training for m in teacher.model.modules())


def test_the_task_loss_of_a_two_stage_teacher_draws_no_random_numbers(
        tmp_path):
    teacher = teacher_of(faster_rcnn(sampled=4), tmp_path / 't.pth')
    inputs, samples = picture_batch()
    state = torch.get_rng_state()
    outputs = outputs_of(teacher, ['neck'], inputs=inputs, samples=samples)
    assert outputs.task_losses()['loss_cls'] > 0
    assert torch.equal(state, torch.get_rng_state())


def test_for_its_losses_the_model_itself_is_in_training_form(teacher):
    # DINO adds its denoising queries by that flag, and needs them.
    seen = []
    teacher.model.register_forward_pre_hook(lambda *_: seen.extend(
        n for n, m in teacher.model.named_modules() if m.training))
    outputs_of(teacher, ['neck']).task_losses()
    assert seen == ['', 'bbox_head']
    assert not any(m.training for m in teacher.model.modules())


def test_samples_that_the_student_has_changed_name_another_stop(teacher):
    inputs, samples = batch()
    del samples[0].gt_instances.bboxes
    outputs = outputs_of(teacher, ['neck'], inputs=inputs, samples=samples)
    with pytest.raises(ValueError, match='AttributeError.*type="At"'):
        outputs.task_losses()


@pytest.mark.parametrize('error',
                         [IndexError, RuntimeError, ZeroDivisionError])
def test_losses_that_fail_for_any_reason_name_another_stop(
        teacher, monkeypatch, error):

    def fail(*args, **kwargs):
        raise error('no')

    monkeypatch.setattr(teacher.model, 'loss', fail)
    with pytest.raises(ValueError, match=f'{error.__name__}: no.*type="At"'):
        outputs_of(teacher, ['neck']).task_losses()


@pytest.mark.parametrize('error', [torch.OutOfMemoryError, MemoryError])
def test_full_memory_is_no_fault_of_the_losses(teacher, monkeypatch, error):

    def fail(*args, **kwargs):
        raise error('full')

    monkeypatch.setattr(teacher.model, 'loss', fail)
    with pytest.raises(error, match='full'):
        outputs_of(teacher, ['neck']).task_losses()


def test_a_failed_forward_is_the_teachers_but_full_memory_is_not():
    teacher = SimpleNamespace(name='r18')
    for error in (AssertionError, RuntimeError, TypeError, KeyError):
        with pytest.raises(ValueError, match='the teacher r18 cannot take'):
            with teacher_named(teacher):
                raise error('sizes')
    with pytest.raises(torch.OutOfMemoryError):
        with teacher_named(teacher):
            raise torch.OutOfMemoryError('full')
