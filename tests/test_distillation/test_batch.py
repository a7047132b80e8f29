# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from types import SimpleNamespace

import pytest
import torch
from mmdet.models import MultiBranchDataPreprocessor
from mmengine.registry import DefaultScope
from torch import nn

from mmw2s.distillation.batch import images_of, refuse_branches, samples_of

IMAGE = torch.ones(3, 8, 8)


def test_a_batch_is_taken_as_it_is_and_a_list_of_images_stacked():
    batch = IMAGE[None]
    assert images_of(batch) is batch
    assert images_of([IMAGE, IMAGE]).shape == (2, 3, 8, 8)


@pytest.mark.parametrize(
    'inputs, told', [
        (dict(sup=IMAGE, unsup_student=IMAGE), 'a dict of sup, unsup_student'),
        ([IMAGE, IMAGE[:, 1:]
          ], r'a list of tensors of \(3, 8, 8\), \(3, 7, 8\)'),
        ([IMAGE[None], IMAGE[None]], r'a list of tensors of \(1, 3, 8, 8\)'),
        ([], 'a list'),
        (None, 'none of that name'),
        (['a.png'], 'a list'),
    ],
    ids=str)
def test_what_is_no_one_batch_of_images_is_refused(inputs, told):
    with pytest.raises(ValueError, match=f'should be given.*but got {told}'):
        images_of(inputs)


def test_a_semi_supervised_student_is_refused():
    with DefaultScope.overwrite_default_scope('mmdet'):
        preprocessor = MultiBranchDataPreprocessor(
            dict(type='DetDataPreprocessor'))
    with pytest.raises(ValueError, match='a dict of branches'):
        refuse_branches(SimpleNamespace(data_preprocessor=preprocessor))
    refuse_branches(SimpleNamespace(data_preprocessor=nn.Identity()))


def test_data_samples_that_are_kept_together_are_told_apart():
    together = dict(
        bboxes_labels=torch.zeros(5, 6),
        img_metas=[dict(img_shape=(8, i)) for i in range(2)],
        gt_label=torch.tensor([3, 4]),
        gt_score=torch.eye(2),
        epoch=7,
        scale=torch.tensor(1.),
        names=['a', 'b'])
    first, second = samples_of(together, 2)
    assert second.img_shape == (8, 1) and second.metainfo['img_shape'] == (8,
                                                                           1)
    assert first.gt_label.tolist() == [3] and second.names == 'b'
    assert second.gt_score.tolist() == [0., 1.]
    assert not {'bboxes_labels', 'epoch', 'scale'} & set(first.all_keys())


def test_a_dict_for_each_image_is_a_data_sample():
    sample, = samples_of([dict(img_shape=(8, 8), gt_label=torch.tensor([1]))],
                         1)
    assert sample.metainfo == dict(img_shape=(8, 8))
    assert sample.gt_label.item() == 1 and 'gt_label' in sample


def test_data_samples_and_none_stay_what_they_are():
    given = [SimpleNamespace()]
    assert samples_of(given, 1) is given
    assert samples_of(None, 1) is None
