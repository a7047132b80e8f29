# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Each hint, by the names of the tensors that call for it."""
import pytest
from torch import nn
from torch.nn.utils import parametrizations, prune

from mmw2s.distillation.loading_hints import hint_of_names, hint_of_shapes


class DinoTransformerDecoder(nn.Module):
    """Named as mmdet's is."""


def names_beside(model):
    """What a changed layer's file has, and what it lacks."""
    plain, own = set(nn.Linear(4, 4).state_dict()), set(model.state_dict())
    return sorted(plain - own), sorted(own - plain)


def test_a_file_of_a_pruned_model():
    layer = prune.l1_unstructured(nn.Linear(4, 4), 'weight', amount=1)
    assert 'under pruning' in hint_of_names(
        nn.Linear(4, 4),
        *(['fc.' + name for name in names] for names in names_beside(layer)))


def test_a_file_of_a_parametrized_model():
    layer = nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 4)))
    assert 'remove_parametrizations' in hint_of_names(
        nn.Linear(4, 4), ['0.weight'], sorted(layer.state_dict()))


@pytest.mark.parametrize('unexpected, said', [
    ('blocks.0.attn.qkv.lora_down.weight', 'LoRA'),
    ('fc._packed_params._packed_params', 'quantized'),
    ('fc.scale', 'quantized'),
    ('student.fc.weight', 'parts named student'),
    ('fc.weight', 'Give the config that this checkpoint was trained with'),
])
def test_names_that_are_unexpected(unexpected, said):
    assert said in hint_of_names(nn.Linear(4, 4), [], [unexpected])


def test_one_shard_of_several():
    hint = hint_of_names(
        nn.Linear(4, 4), ['weight'], [], 'model-00001-of-00002.safetensors')
    assert 'several shards' in hint


@pytest.mark.parametrize('tensor, said', [
    ('ref_point_head.layers.0.weight', 'do belong together'),
    ('ref_point_head.layers.1.weight', 'check num_classes'),
])
def test_shapes_that_differ_between_packages(tensor, said):
    model = nn.ModuleDict(dict(decoder=DinoTransformerDecoder()))
    wrong = {f'decoder.{tensor}': ((256, 512), (256, 1024))}
    assert said in hint_of_shapes(model, wrong)
    # Another one beside it has another reason.
    wrong['bbox_head.cls_branches.0.weight'] = ((80, 256), (3, 256))
    assert 'check num_classes' in hint_of_shapes(model, wrong)
