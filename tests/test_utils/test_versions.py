# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import subprocess
import sys

import pytest
import torch
from builders import build
from mmcv.ops import DeformConv2dPack, MultiScaleDeformableAttention
from mmdet.models import FocalLoss, TOODHead
from tiny_two_stage import faster_rcnn
from toys import retinanet

from mmw2s.utils.versions import (check_versions, installed_versions,
                                  mmcv_operators, refuse_bfloat16, require)

GOOD = dict(torch='2.13.0+cpu', mmengine='0.10.12', mmcv='2.3.6')


def test_what_is_installed_here_is_accepted():
    check_versions(installed_versions())


@pytest.mark.parametrize('versions', [
    GOOD,
    dict(torch='2.5.0', mmengine='0.10.0', mmcv='2.0.0rc4'),
    dict(torch='2.6.0+cu124', mmengine='0.10.7', mmcv='2.1.0'),
    dict(torch='2.13.0', mmengine='0.11.0rc3', mmcv=None),
    dict(GOOD, torch='2.5.0a0+872d972e41.nv24.08'),
])
def test_both_families_and_a_missing_mmcv_are_accepted(versions):
    check_versions(versions)


@pytest.mark.parametrize('name, version', [('torch', '2.4.1'),
                                           ('torch', '2.4.0a0+07cecf4'),
                                           ('mmengine', '0.9.1'),
                                           ('mmcv', '2.0.0rc3'),
                                           ('mmcv', '1.7.2')])
def test_an_old_package_is_named_with_what_to_install(name, version):
    with pytest.raises(ImportError) as error:
        check_versions({**GOOD, name: version})
    message = str(error.value)
    assert f'{name} should be' in message
    assert f'but is {version}: install' in message
    assert 'setup_env.sh' in message


def test_all_problems_are_told_at_once():
    with pytest.raises(ImportError) as error:
        check_versions(dict(torch='1.13.1', mmengine=None, mmcv='1.7.2'))
    message = str(error.value)
    assert 'torch should be 2.5 or newer, but is 1.13.1' in message
    assert 'mmengine should be 0.10.0 or newer, but is not installed' \
        in message
    assert 'onedl-mmengine' in message
    assert 'mmcv should be 2.0.0rc4 or newer' in message


def test_operators_of_mmcv_are_found_and_refused_in_bfloat16():
    assert mmcv_operators(build(faster_rcnn())) == ['RoIAlign']
    assert mmcv_operators(build(retinanet())) == []
    refuse_bfloat16(build(retinanet()))
    deformable = retinanet(50)
    deformable['backbone'].update(
        dcn=dict(type='DCNv2'), stage_with_dcn=(False, False, False, True))
    with pytest.raises(
            ValueError,
            match='the RetinaNet cannot be trained in bfloat16, .*'
            r'\(ModulatedDeformConv2dPack\).*use OptimWrapper'):
        refuse_bfloat16(build(deformable))


def test_deformable_attention_has_bfloat16_on_a_cpu():
    attention = MultiScaleDeformableAttention(16, 2)
    refuse_bfloat16(attention)
    attention.to('meta')
    with pytest.raises(ValueError, match='MultiScaleDeformableAttention'):
        refuse_bfloat16(attention)


def test_operators_that_are_called_as_functions_are_found_too():
    head = TOODHead(2, 8, stacked_convs=1, norm_cfg=None)
    assert mmcv_operators(head) == ['DeformConv2dFunction']
    with pytest.raises(ValueError, match='DeformConv2dFunction'):
        refuse_bfloat16(head)


def test_a_subclass_of_an_operator_is_one():

    class Mine(DeformConv2dPack):
        pass

    assert mmcv_operators(Mine(2, 2, 1)) == ['DeformConv2dPack']


def test_the_focal_loss_has_bfloat16_on_a_cpu_only():
    model = torch.nn.Sequential(torch.nn.Linear(1, 1), FocalLoss())
    refuse_bfloat16(model)
    model.to('meta')
    assert mmcv_operators(model) == []
    with pytest.raises(ValueError, match='SigmoidFocalLossFunction'):
        refuse_bfloat16(model)


def test_a_package_that_only_a_part_needs_is_named_with_its_extra():
    require('torch', 'diffusion', 'Part')
    with pytest.raises(ImportError) as error:
        require('no_such_package', 'diffusion', 'Part')
    assert 'Part needs the package no_such_package' in str(error.value)
    assert 'pip install "mmw2s[diffusion]"' in str(error.value)


def test_importing_mmw2s_imports_nothing_that_only_parts_need():
    code = ('import sys; import mmw2s; assert not {"diffusers", '
            '"torchmetrics", "scipy", "sklearn", "mmpretrain"} & '
            'set(sys.modules)')
    subprocess.run([sys.executable, '-c', code], check=True)
