# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import math

import pytest
from mmengine.config import Config, ConfigDict
from toys import retinanet

from mmw2s.distillation.teacher import FrozenTeacher
from mmw2s.distillation.teacher_fields import merge_options

CONFIG = dict(default_scope='mmdet', model=retinanet(18))


def merged(**options):
    cfg = Config(CONFIG)
    merge_options(cfg, {k.replace('__', '.'): v for k, v in options.items()})
    return cfg


@pytest.mark.parametrize('options, nearest', [
    (dict(model__bbox_head__num_clases=3), 'num_classes'),
    (dict(model__bbox_hed__num_classes=3), 'bbox_head'),
    (dict(modle__bbox_head__num_classes=3), 'model'),
    (dict(model__test_cfg__score_thrr=0.1), 'score_thr'),
    (dict(model__backbone__dept=34), 'depth'),
    (dict(model=dict(backbone=dict(dept=34))), 'depth'),
    (dict(model__bbox_head__loss_cls=dict(alfa=0.3)), 'alpha'),
    (dict(model__bbox_head__anchor_generator__stride=[8]), 'strides'),
    (dict(model__test_cfg__nms__iou_treshold=0.4), 'iou_threshold'),
])
def test_a_misspelt_override_is_refused_and_the_nearest_named(
        options, nearest):
    with pytest.raises(ValueError, match=f'cfg_options .* "{nearest}"'):
        merged(**options)


@pytest.mark.parametrize('options', [
    dict(model__bbox_head__num_classes=5),
    dict(model__backbone__with_cp=True),
    dict(model__bbox_head__reg_decoded_bbox=True),
    dict(model__backbone__norm_cfg__requires_grad=False),
    dict(
        model__backbone__init_cfg=dict(
            type='Pretrained', checkpoint='x', _delete_=True)),
    dict(model__neck__num_outs=4, model=dict(neck=dict(out_channels=8))),
    dict(
        model__bbox_head__loss_cls=dict(
            _delete_=True, type='CrossEntropyLoss', use_sigmoid=True)),
    dict(model__backbone__type='ResNeXt', model__backbone__groups=4),
    dict(model__neck__in_channels=[8, 16, 32, 64]),
    dict(model__test_cfg__nms__class_agnostic=True),
    dict(load_from='x.pth'),
])
def test_fields_that_the_class_has_may_be_new(options):
    merged(**options)


def test_what_mmengine_cannot_merge_is_refused_by_name():
    with pytest.raises(ValueError, match='cfg_options .* cannot be merged'):
        merged(model__backbone__init_cfg=dict(type='Pretrained'))


def test_a_number_beyond_a_list_is_refused():
    with pytest.raises(ValueError, match='neck.in_channels is a list of 4'):
        merged(model__neck__in_channels__4=8)


@pytest.mark.parametrize('field, value',
                         [('checkpoint', ''), ('checkpoint', 3),
                          ('score', '0.4'), ('score', math.nan),
                          ('score', True), ('precision', 'fp8'),
                          ('precision', ['fp16']),
                          ('cfg_options', ['model.x=3']),
                          ('cfg_options', 'model.x=3'),
                          ('trust_checkpoint', 'no'), ('trust_checkpoint', 1),
                          ('scale', 0), ('scale', 1.5), ('scale', '0.5'),
                          ('fuse', 'no'), ('fuse', 1),
                          ('config', ''), ('config', None), ('config', {}),
                          ('config', dict(model=None)),
                          ('config', dict(model=dict(depth=18)))])
def test_a_wrong_value_is_refused_before_anything_is_read(field, value):
    cfg = dict(config='no_such_file.py')
    cfg[field] = value
    with pytest.raises(ValueError, match=f'teacher.{field} should'):
        FrozenTeacher.check_cfg(cfg)


@pytest.mark.parametrize('teacher', [None, '', 3, [], ['x.py'], True])
def test_what_is_no_teacher_is_refused(teacher):
    with pytest.raises(ValueError, match='teacher should be a config'):
        FrozenTeacher.check_cfg(teacher)


@pytest.mark.parametrize('kind', [dict, ConfigDict, Config])
def test_a_config_may_be_of_each_kind_of_dict(kind):
    FrozenTeacher.check_cfg(kind(CONFIG))
    FrozenTeacher.check_cfg(dict(config=kind(CONFIG)))
