# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune

from mmw2s.distillation.strict_loading import load_strictly


class Tiny(nn.Module):
    """A convolution and its norm, and a layer at 8 x 8 with its index."""

    def __init__(self, size=4):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)
        self.norm = nn.BatchNorm2d(2)
        self.register_buffer('relative_position_index', torch.arange(size))


def trained(seed=0, model=None):
    torch.manual_seed(seed)
    model = model or Tiny()
    for value in model.parameters():
        nn.init.normal_(value)
    return model


def load(weights, model=None):
    model = model or trained(1)
    load_strictly(model, weights, 'a.pth', 'Tiny')
    return model


def weights_with(**changed):
    weights = copy.deepcopy(dict(trained().state_dict()))
    weights.update({key.replace('__', '.'): v for key, v in changed.items()})
    return weights


def same(model, weights):
    found = model.state_dict()
    return all(torch.equal(found[key], weights[key]) for key in found)


def test_all_weights_are_loaded():
    assert same(load(weights_with()), weights_with())


# -- kinds and values ----------------------------------------------------


@pytest.mark.parametrize('dtype', [
    torch.int8, torch.uint8, torch.int64, torch.bool, torch.complex64,
    torch.float8_e4m3fn
])
@pytest.mark.parametrize('key', ['conv.weight', 'norm.running_var'])
def test_a_tensor_of_another_kind_is_refused_by_name_and_dtype(key, dtype):
    weights = weights_with()
    weights[key] = weights[key].to(dtype)
    with pytest.raises(ValueError) as error:
        load(weights)
    assert key in str(error.value) and str(dtype) in str(error.value)
    assert 'a.pth' in str(error.value)


@pytest.mark.parametrize('dtype',
                         [torch.float16, torch.bfloat16, torch.float64])
def test_floating_point_numbers_of_another_size_are_cast(dtype):
    weights = {
        k: v.to(dtype) if v.is_floating_point() else v
        for k, v in weights_with().items()
    }
    assert same(
        load(weights), {
            k: v.to(trained().state_dict()[k].dtype)
            for k, v in weights.items()
        })


@pytest.mark.parametrize(
    'value',
    [float('nan'), float('inf'), -float('inf'), 1e38, -1e38])
@pytest.mark.parametrize(
    'key',
    ['conv.weight', 'conv.bias', 'norm.running_var', 'norm.running_mean'])
def test_a_value_that_no_trained_model_has_is_refused(key, value):
    weights = weights_with()
    weights[key].view(-1)[1] = value
    with pytest.raises(ValueError, match=f'{key} in a.pth has values from'):
        load(weights)


def test_a_double_that_single_precision_cannot_hold_is_refused():
    weights = weights_with(conv__bias=torch.tensor([1e300, 0.]).double())
    with pytest.raises(ValueError, match='conv.bias in a.pth has values'):
        load(weights)


def test_a_negative_variance_is_refused():
    weights = weights_with(norm__running_var=torch.tensor([1., -1e-3]))
    with pytest.raises(ValueError, match='running_var.*is a variance'):
        load(weights)


def test_infinities_that_are_the_models_own_are_taken():
    model = trained()
    model.register_buffer('mask', torch.tensor([0., -float('inf')]))
    assert same(load(dict(model.state_dict()), model), model.state_dict())
    other = dict(model.state_dict(), mask=torch.tensor([-float('inf'), 0.]))
    with pytest.raises(ValueError, match='mask in a.pth has values'):
        load(other, model)


@pytest.mark.parametrize('value, what', [
    (torch.quantize_per_tensor(torch.ones(2), 0.1, 0,
                               torch.qint8), 'quantised'),
    (torch.ones(2).to_sparse(), 'sparse'),
    (torch.ones(2, device='meta'), 'meta'),
])
def test_a_tensor_without_plain_numbers_is_refused(value, what):
    with pytest.raises(ValueError, match=f'conv.bias in a.pth is .*{what}'):
        load(weights_with(conv__bias=value))


# -- names ---------------------------------------------------------------


def test_buffers_of_another_image_size_are_the_models_own():
    weights = trained(model=Tiny(9)).state_dict()
    model = load(weights)
    assert model.relative_position_index.tolist() == [0, 1, 2, 3]
    assert torch.equal(model.conv.weight, weights['conv.weight'])


class Dropping(Tiny):
    """Takes names out of what it is loaded from, as SwinTransformerV2 does."""

    def __init__(self, name):
        super().__init__()
        self.register_load_state_dict_pre_hook(
            lambda module, state_dict, *_: state_dict.pop(name, None))


def test_a_buffer_that_the_model_itself_drops_is_not_missing():
    weights = weights_with()
    assert same(
        load(weights, trained(1, Dropping('relative_position_index'))),
        weights)


def test_a_weight_that_the_model_drops_and_has_otherwise_is_missing():
    with pytest.raises(ValueError, match='the file lacks conv.weight'):
        load(weights_with(), trained(1, Dropping('conv.weight')))


def test_a_second_name_for_a_loaded_part_is_taken():
    weights = weights_with()
    alias = {
        f'aux.{key}': value
        for key, value in weights.items() if key.startswith('conv.')
    }
    assert same(load({**weights, **alias}), weights)


def test_a_part_that_is_only_partly_equal_is_refused():
    weights = weights_with(conv__bias=torch.zeros(2))
    with pytest.raises(ValueError, match='has no other.bias, other.weight'):
        load({
            **weights, 'other.bias': torch.zeros(2),
            'other.weight': torch.ones(2, 1, 1, 1)
        })


def test_one_name_of_two_tied_parts_is_enough():
    model = trained(1)
    model.second = model.conv
    weights = weights_with()
    load(weights, model)
    assert torch.equal(model.second.weight, weights['conv.weight'])


@pytest.mark.parametrize('prefix', ['model.', 'student.', 'net.model.'])
def test_an_outer_prefix_of_all_names_is_taken_off(prefix):
    weights = weights_with()
    held = {f'{prefix}{key}': value for key, value in weights.items()}
    assert same(
        load(dict(held, **{'criterion.weight': torch.ones(3)})), weights)


def test_several_models_that_fit_are_refused_unless_equal():
    weights = weights_with()
    held = {
        f'{who}.{key}': value.clone()
        for who in ('student', 'teacher')
        for key, value in weights.items()
    }
    assert same(load(held), weights)
    held['teacher.conv.weight'] += 1
    with pytest.raises(ValueError, match='several models.*student., teacher.'):
        load(held)


def test_a_model_that_begins_with_a_wrappers_name_keeps_it():
    model = nn.Module()
    model.module = trained(1)
    weights = weights_with()  # as load_weights gives them, without module.
    assert same(load(weights, model).module, weights)


def test_what_an_older_ema_hook_keeps_beside_the_weights_is_taken():
    weights = weights_with()
    kept = {
        f'ema_{key.replace(".", "_")}': value + 1
        for key, value in weights.items()
    }
    assert same(load({**weights, **kept}), weights)
    with pytest.raises(ValueError, match='has no ema_other_weight'):
        load({**weights, 'ema_other_weight': torch.ones(1)})


def test_a_shard_is_told_from_another_architecture():
    with pytest.raises(ValueError, match='lacks .*conv.bias.*several shards'):
        load_strictly(
            trained(1), {'conv.weight': torch.ones(2, 1, 1, 1)},
            'model-00001-of-00002.pth', 'Tiny')


def test_counters_that_profilers_leave_are_taken():
    load(
        weights_with(
            total_ops=torch.zeros(1), conv__total_params=torch.ones(1)))


# -- hints ---------------------------------------------------------------


def test_a_model_under_pruning_is_told_how_to_end_it():
    model = trained()
    prune.l1_unstructured(model.conv, 'weight', 0.5)
    with pytest.raises(ValueError, match='prune.remove'):
        load(model.state_dict())


def test_a_parametrised_model_is_told_how_to_end_it():
    model = trained()
    parametrize.register_parametrization(model.conv, 'weight', nn.Identity())
    with pytest.raises(ValueError, match='remove_parametrizations'):
        load(model.state_dict())


def test_adapters_are_told_from_another_architecture():
    weights = {
        'base_model.model.conv.lora_A.default.weight': torch.ones(1),
        'base_model.model.conv.lora_B.default.weight': torch.ones(1)
    }
    with pytest.raises(ValueError, match='tuned by adapters .LoRA.'):
        load(weights)


class DinoTransformerDecoder(nn.Module):

    def __init__(self, factor):
        super().__init__()
        self.ref_point_head = nn.Module()
        self.ref_point_head.layers = nn.ModuleList([nn.Linear(4 * factor, 4)])


def test_dinos_decoder_of_the_other_family_is_told_as_such():
    model = nn.Module()
    model.decoder = DinoTransformerDecoder(4)
    other = nn.Module()
    other.decoder = DinoTransformerDecoder(2)
    with pytest.raises(ValueError) as error:
        load(other.state_dict(), model)
    text = str(error.value)
    assert 'Config and checkpoint do belong together' in text
    assert '(4, 8) in the file and (4, 16) in the model' in text
    # Where more differs, it is another model after all.
    model.head, other.head = nn.Linear(1, 2), nn.Linear(1, 3)
    with pytest.raises(ValueError, match='check num_classes, and that config'):
        load(other.state_dict(), model)
