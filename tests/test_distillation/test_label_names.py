# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json

import numpy as np
import pytest
from mmdet.datasets import CocoDataset, ConcatDataset, VOCDataset
from mmengine.dataset import RepeatDataset
from mmengine.registry import DefaultScope
from mmpretrain.datasets import CustomDataset
from torch.utils.data import Subset

from mmw2s.distillation.label_names import (declared_names, label_names,
                                            names_in)


@pytest.fixture
def coco(tmp_path):
    """Makes COCO data sets whose file lists some categories."""

    def make(categories, classes=('box', 'bar'), **more):
        path = tmp_path / f'{len(list(tmp_path.iterdir()))}.json'
        path.write_text(
            json.dumps(
                dict(
                    info=dict(categories=[1]),  # of something else
                    images=[dict(id=1, file_name='a', width=9, height=9)],
                    annotations=[],
                    categories=[
                        dict(id=10 * i, name=name)
                        for i, name in enumerate(categories)
                    ])))
        return CocoDataset(
            ann_file=str(path),
            data_prefix=dict(img=''),
            metainfo=dict(classes=classes, **more))

    return make


@pytest.mark.parametrize(
    'classes',
    [('a', 'b'), ['a', 'b'], np.array(['a', 'b'])])
def test_names_are_told_by_any_sequence(classes):
    assert names_in(dict(classes=classes)) == ('a', 'b')


def test_the_key_that_is_read_counts_and_not_its_older_spelling():
    assert names_in(dict(CLASSES=('a', 'b'))) == ('a', 'b')
    for both in (dict(classes=['a'],
                      CLASSES=['b']), dict(CLASSES=['b'], classes=['a'])):
        assert names_in(both) == ('a', )


def test_a_text_is_one_class():
    assert names_in(dict(classes='box')) == ('box', )


@pytest.mark.parametrize('meta', [{}, None,
                                  dict(classes=None), [], 'coco',
                                  dict(classes={'a', 'b'})])
def test_without_an_order_nothing_is_told(meta):
    assert names_in(meta) is None


def test_the_order_of_the_file_counts_and_is_told(coco, capfd):
    assert label_names(coco(('bar', 'box'))) == ('bar', 'box')
    assert '(bar, box), but its metainfo names the classes (box, bar)' in \
        ''.join(capfd.readouterr())


def test_a_category_that_the_file_lacks_moves_the_labels_behind_it(coco):
    dataset = coco(('box', 'cup'), classes=('box', 'bar', 'cup'))
    assert label_names(dataset) == ('box', 'cup')


def test_categories_that_are_left_out_move_nothing(coco, capfd):
    names = label_names(coco(('sky', 'box', 'sea', 'bar', 'cup')))
    assert names == ('box', 'bar') and 'WARNING' not in ''.join(
        capfd.readouterr())


def test_a_file_without_the_last_classes_is_in_order(coco, capfd):
    assert label_names(coco(('box', ))) == ('box', 'bar')
    assert 'WARNING' not in ''.join(capfd.readouterr())


def test_wrappers_are_looked_into(coco):
    wrapped = RepeatDataset(coco(('bar', 'box')), 2)
    assert label_names(wrapped) == ('bar', 'box')
    assert label_names(Subset(wrapped, [0])) == ('bar', 'box')


def test_data_sets_that_differ_in_a_palette_agree_in_their_classes(coco):
    one, two = (
        coco(('box', 'bar'), palette=[(i, 2, 3), (4, 5, 6)]) for i in (1, 9))
    both = ConcatDataset([one, two])
    assert isinstance(both.metainfo, list)
    assert label_names(both) == ('box', 'bar')


def test_where_data_sets_disagree_the_name_is_of_both(coco):
    one = coco(('box', 'bar'))
    two = coco(('box', 'cup'), classes=('box', 'cup'))
    assert label_names(ConcatDataset([one, two])) == ('box', 'bar or cup')


@pytest.mark.parametrize('classes, told', [
    (None, ('a', 'b')),
    (('b', 'a'), ('a', 'b')),
    (('cat', 'dog'), ('cat', 'dog')),
])
def test_class_folders_are_numbered_by_their_sorted_names(
        tmp_path, classes, told):
    for name in 'ab':
        (tmp_path / name).mkdir()
        (tmp_path / name / '1.png').write_bytes(b'')
    metainfo = classes and dict(classes=classes)
    dataset = CustomDataset(data_root=str(tmp_path), metainfo=metainfo)
    assert label_names(dataset) == told


@pytest.mark.parametrize('dataset, told', [
    (dict(type='CocoDataset', metainfo=dict(classes=('a', 'b'))), ('a', 'b')),
    (dict(type='mmpretrain.CustomDataset', classes=['a', 'b']), ('a', 'b')),
    (dict(type='VOCDataset'), VOCDataset.METAINFO['classes']),
    (dict(type=VOCDataset), VOCDataset.METAINFO['classes']),
    (dict(
        type='RepeatDataset',
        dataset=dict(type='CocoDataset', metainfo=dict(classes=('a', )))),
     ('a', )),
    (dict(
        type='ConcatDataset',
        datasets=[
            dict(type='CocoDataset', metainfo=dict(classes=(name, )))
            for name in 'ab'
        ]), ('a or b', )),
    (dict(type='mmpretrain.CustomDataset'), None),
    (dict(type='Nowhere'), None),
    (None, None),
])
def test_a_config_declares_the_classes_of_its_data_set(dataset, told):
    with DefaultScope.overwrite_default_scope('mmdet'):
        assert declared_names(dataset) == told
