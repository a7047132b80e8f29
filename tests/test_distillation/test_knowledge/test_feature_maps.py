# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
import torch.nn.functional as F
from builders import build, pairs_of, teacher_of
from mmengine.logging import MMLogger
from toys import retinanet

from mmw2s.distillation.knowledge import FPNFeatures
from mmw2s.distillation.knowledge.feature_maps import maps_of
from mmw2s.distillation.recorder import Call


@pytest.fixture(scope='module')
def student():
    return build(retinanet(50, channels=8))


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    return teacher_of(
        retinanet(18, channels=8),
        tmp_path_factory.mktemp('t') / 'teacher.pth')


def other_teacher(tmp_path, outs=3, **fields):
    cfg = retinanet(18, **fields)
    cfg['neck']['num_outs'] = outs
    cfg['bbox_head']['anchor_generator']['strides'] = [8, 16, 32, 64][:outs]
    return teacher_of(cfg, tmp_path / 'other.pth')


def test_every_level_is_a_pair_of_the_two_models_own_maps(student, teacher):
    pairs, recorded, outputs = pairs_of(FPNFeatures(), student, teacher)
    assert [pair.name for pair in pairs] == ['neck[0]', 'neck[1]', 'neck[2]']
    for i, pair in enumerate(pairs):
        assert pair.student is recorded['neck'][0].output[i]
        assert pair.teacher is outputs['neck'][0].output[i]
        assert pair.student.requires_grad and not pair.teacher.requires_grad
        assert pair.weight is None and pair.avg_factor is None


@pytest.mark.parametrize('levels', [[0], [2, 0], (1, )])
def test_levels_are_chosen_by_index(student, teacher, levels):
    pairs, _, _ = pairs_of(FPNFeatures(levels=levels), student, teacher)
    assert [pair.name for pair in pairs] == [f'neck[{i}]' for i in levels]
    assert [pair.student.shape[-1] for pair in pairs] == \
        [8 // 2**i for i in levels]


def test_a_level_that_is_not_there_is_refused(student, teacher):
    with pytest.raises(
            ValueError,
            match='FPNFeatures.levels has 3, but the '
            'student gives 3 levels and the teacher 3'):
        pairs_of(FPNFeatures(levels=[3]), student, teacher)


def test_a_module_that_gives_one_map_is_a_single_level(student, teacher):
    knowledge = FPNFeatures('neck.lateral_convs.0')
    pairs, _, _ = pairs_of(knowledge, student, teacher)
    assert [pair.name for pair in pairs] == ['neck.lateral_convs.0[0]']


def test_differently_named_modules_are_paired(student, teacher):
    knowledge = FPNFeatures('neck.fpn_convs.0', 'neck.lateral_convs.0')
    pairs, recorded, outputs = pairs_of(knowledge, student, teacher)
    assert pairs[0].student is recorded['neck.fpn_convs.0'][0].output
    assert pairs[0].teacher is outputs['neck.lateral_convs.0'][0].output


def test_a_module_called_several_times_gives_pairs_call_by_call(
        student, teacher):
    knowledge = FPNFeatures('bbox_head.cls_convs.0')
    pairs, recorded, _ = pairs_of(knowledge, student, teacher)
    assert len(recorded['bbox_head.cls_convs.0']) == 3
    assert [pair.student.shape[-1] for pair in pairs] == [8, 4, 2]


# -- other levels and sizes ----------------------------------------------


def maps(*sizes, channels=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, channels, *s, generator=generator) for s in sizes]


def paired(student, teacher, **fields):
    """The pairs of maps that two modules are said to have given."""
    knowledge = FPNFeatures(**fields)
    return knowledge.pairs(
        dict(neck=[Call((), student)]), dict(neck=[Call((), teacher)]))


def test_levels_of_one_stride_are_paired_and_others_left_out():
    student = maps((16, 24), (8, 12), (4, 6), (2, 3))
    teacher = maps((8, 12), (4, 6), (2, 3), (1, 2))
    pairs = paired(student, teacher)
    assert [p.name for p in pairs] == [
        'neck[1] (neck[0])', 'neck[2] (neck[1])', 'neck[3] (neck[2])'
    ]
    for pair, s, t in zip(pairs, student[1:], teacher):
        assert pair.student is s and pair.teacher is t


def test_levels_that_are_equally_small_are_paired_in_order():
    student, teacher = maps((2, 2), (1, 1), (1, 1)), maps((1, 1), (1, 1))
    pairs = paired(student, teacher)
    assert len(pairs) == 2
    for pair, s, t in zip(pairs, student[1:], teacher):
        assert pair.student is s and pair.teacher is t


def test_levels_without_one_stride_in_common_are_refused_with_their_sizes():
    with pytest.raises(
            ValueError,
            match='gives maps of 8 x 8, 4 x 4, the '
            "teacher's neck of 7 x 7, 3 x 3 .*none are of one stride"):
        paired(maps((8, 8), (4, 4)), maps((7, 7), (3, 3)))


@pytest.mark.parametrize('size, resized', [
    ((4, 8), lambda t: F.avg_pool2d(t, 2)),
    ((16, 32), lambda t: F.interpolate(
        t, (16, 32), mode='bilinear', align_corners=False)),
])
def test_of_chosen_levels_the_teachers_map_is_brought_to_the_students_size(
        size, resized):
    student, teacher = maps(size), maps((8, 16), seed=1)
    for fields in (dict(levels=[0]), {}):  # single maps are chosen too
        pair, = paired(student, teacher, **fields)
        assert pair.student is student[0]
        assert torch.allclose(pair.teacher, resized(teacher[0]), atol=1e-6)


def test_common_levels_of_necks_that_have_more_or_fewer_are_taken(
        student, tmp_path):
    teacher = other_teacher(tmp_path, outs=4, channels=8)
    pairs, _, _ = pairs_of(FPNFeatures(), student, teacher)
    assert [pair.name for pair in pairs] == ['neck[0]', 'neck[1]', 'neck[2]']
    pairs, _, _ = pairs_of(FPNFeatures(levels=[0, 2]), student, teacher)
    assert len(pairs) == 2


# -- other channels ------------------------------------------------------


@pytest.mark.parametrize('channels', [(4, 32), (32, 4)])
def test_the_wider_maps_are_projected_to_the_others_channels(channels):
    student = maps((8, 8), channels=channels[0])[0].requires_grad_()
    teacher = maps((8, 8), channels=channels[1], seed=1)[0]
    pair, = paired([student], [teacher])
    wide, narrow, found, kept = student, teacher, pair.student, pair.teacher
    if channels[1] > channels[0]:
        wide, narrow, found, kept = narrow, wide, kept, found
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(4, 32, generator=generator) / 32**0.5
    assert kept is narrow
    assert torch.allclose(
        found, torch.einsum('nc,bchw->bnhw', matrix, wide), atol=1e-5)
    pair.student.sum().backward()
    assert student.grad.abs().sum() > 0


def test_a_projection_keeps_the_maps_variance():
    teacher = maps((8, 8), channels=512)
    pair, = paired(maps((8, 8), channels=64), teacher)
    assert pair.teacher.var().item() == pytest.approx(1., abs=0.1)


def test_a_projection_is_one_for_all_steps_and_ranks_and_follows_the_seed():
    student, teacher = maps((8, 8), (4, 4)), maps((8, 8), (4, 4), channels=9)

    def projected(**fields):
        return [p.teacher for p in paired(student, teacher, **fields)]

    torch.manual_seed(1)
    first = projected()
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert all(torch.equal(a, b) for a, b in zip(first, projected()))
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first[0], projected(seed=1)[0])
    # Each level has its own.
    same = maps((4, 4), channels=9)
    a, b = paired(maps((4, 4), (4, 4)), same * 2)
    assert not torch.allclose(a.teacher, b.teacher)


@pytest.mark.parametrize('channels', [(4, 32), (32, 4)])
def test_with_trained_adapters_the_maps_are_those_of_the_models(channels):
    student = maps((8, 8), (4, 4), channels=channels[0])
    teacher = maps((8, 8), (4, 4), channels=channels[1], seed=1)
    pairs = paired(student, teacher, adapter='trained')
    for pair, s, t in zip(pairs, student, teacher):
        assert pair.student is s and pair.teacher is t
        assert pair.adapter.weights[0].shape == (*channels[::-1], 1, 1)
    pair, = paired([student[0]], [student[1]], levels=[0], adapter='trained')
    assert pair.adapter is None


def test_another_adapter_is_refused():
    with pytest.raises(
            ValueError,
            match="FPNFeatures.adapter should be one of 'fixed', 'none', "
            "'trained', 'conv3x3', 'mlp', 'masked', but got 'conv'"):
        FPNFeatures(adapter='conv')


def test_what_is_left_out_or_projected_is_logged_once(capsys):
    MMLogger.get_instance('told')
    knowledge = FPNFeatures()
    recorded = dict(neck=[Call((), maps((8, 8), (4, 4)))])
    outputs = dict(neck=[Call((), maps((8, 8), channels=9))])
    for _ in range(2):
        knowledge.pairs(recorded, outputs)
    text = capsys.readouterr().out
    assert text.count("maps have 4 channels, the teacher's 9") == 1
    assert text.count('pairs 1 level of a common stride') == 1


def test_models_of_other_channels_are_paired(student, tmp_path):
    teacher = other_teacher(tmp_path, channels=16)
    pairs, _, _ = pairs_of(FPNFeatures(), student, teacher)
    assert pairs and all(p.student.shape == p.teacher.shape for p in pairs)
    pairs, _, _ = pairs_of(FPNFeatures('backbone'), student, teacher)
    assert [p.student.shape[1] for p in pairs] == [8, 16, 32, 64]


def test_under_autocast_a_projection_is_computed_in_the_maps_precision():
    with torch.autocast('cpu', dtype=torch.bfloat16):
        pair, = paired([m.bfloat16() for m in maps((8, 8))],
                       [m.bfloat16() for m in maps((8, 8), channels=9)])
    assert pair.teacher.dtype == pair.student.dtype == torch.bfloat16


def test_gradients_reach_the_student_alone(student, teacher):
    pairs, _, _ = pairs_of(FPNFeatures(), student, teacher)
    student.zero_grad()
    sum((p.student - p.teacher).square().sum() for p in pairs).backward()
    assert student.neck.lateral_convs[0].conv.weight.grad.abs().sum() > 0
    assert student.bbox_head.retina_cls.weight.grad is None
    assert all(p.grad is None for p in teacher.model.parameters())
    assert torch.is_grad_enabled()


@pytest.mark.parametrize('output, given', [
    (torch.zeros(2, 8), r'a tensor of shape \(2, 8\)'),
    ((torch.zeros(2, 4, 8), ), r'a tensor of shape \(2, 4, 8\)'),
    ((torch.zeros(2, 8, 4, 4), (4, 4)), 'a tuple'),
])
def test_what_is_no_map_is_refused_with_what_is(output, given):
    with pytest.raises(
            ValueError,
            match=f'neck gives {given}, neither maps .* name a stage or a'):
        maps_of('neck', output)
