# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Some of what ``tests/every_algorithm.py`` tries, as tests."""

import pytest
from every_algorithm import prepare, try_one

pytestmark = pytest.mark.slow


@pytest.mark.parametrize('path, said', [
    ('solo/decoupled-solo_r50_fpn_1x_coco.py', 'works: fpn'),
    ('solov2/solov2_r50_fpn_1x_coco.py', 'works: fpn'),
    ('maskformer/maskformer_r50_ms-16xb1-75e_coco.py', 'works: fpn'),
    ('rtmdet/rtmdet-ins_s_8xb32-300e_coco.py', 'works: fpn, cls'),
    ('fast_rcnn/fast-rcnn_r50_fpn_1x_coco.py', 'works: fpn, roi_cls'),
])
def test_detectors_of_many_kinds_are_distilled_in_full(path, said):
    prepare('mmdet')
    assert try_one('mmdet', path) == said


def test_a_conformer_is_distilled_in_one_of_its_branches():
    prepare('mmpretrain')
    path = 'conformer/conformer-tiny-p16_8xb128_in1k.py'
    assert try_one('mmpretrain', path) == 'works: logits'


def test_a_tridentnet_is_told_of_the_field_of_its_teacher():
    prepare('mmdet')
    said = try_one('mmdet', 'tridentnet/tridentnet_r50-caffe_1x_coco.py')
    assert said.startswith('refused: ') and 'test_branch_idx": -1' in said
