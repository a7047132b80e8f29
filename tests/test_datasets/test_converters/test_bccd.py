# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json
import os
import os.path as osp
from xml.sax.saxutils import escape

import pytest

from mmw2s.datasets.converters import write_bccd
from mmw2s.datasets.converters.bccd import SPLITS

#: As the first two cells of BloodImage_00000.xml.
CELLS = [('WBC', (260, 177, 491, 376)), ('RBC', (78, 336, 184, 435))]


def described(name, cells, size=(640, 480)):
    """An annotation file as that of the data set."""
    return ('<annotation><folder>JPEGImages</folder>'
            f'<filename>{escape(name)}.jpg</filename><size><width>{size[0]}'
            f'</width><height>{size[1]}</height><depth>3</depth></size>' +
            ''.join(f'<object><name>{kind}</name><truncated>0</truncated>'
                    f'<bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}'
                    f'</xmax><ymax>{y2}</ymax></bndbox></object>'
                    for kind, (x1, y1, x2, y2) in cells) + '</annotation>')


def write_source(folder, splits):
    """A checkout: names of images with their cells, split by split."""
    voc = folder / 'BCCD'
    for part in ('Annotations', 'ImageSets/Main', 'JPEGImages'):
        (voc / part).mkdir(parents=True)
    for split in SPLITS:
        images = splits.get(split, {})
        (voc / f'ImageSets/Main/{split}.txt').write_text(''.join(
            f'{name}\n' for name in images))
        for name, cells in images.items():
            (voc / f'Annotations/{name}.xml').write_text(
                described(name, cells))
            (voc / f'JPEGImages/{name}.jpg').write_bytes(name.encode())
    return str(folder)


def read(root, split):
    with open(osp.join(root, 'annotations', f'instances_{split}.json')) as f:
        return json.load(f)


def test_boxes_count_pixels_from_0_and_their_last_one_is_within(tmp_path):
    source = write_source(tmp_path / 'a', dict(val=dict(Blood=CELLS)))
    found = read(write_bccd(source, tmp_path / 'bccd'), 'val')
    assert [cell['bbox']
            for cell in found['annotations']] == [[259., 176., 232., 200.],
                                                  [77., 335., 107., 100.]]
    assert [cell['area'] for cell in found['annotations']] == [46400., 10700.]
    assert [cell['category_id'] for cell in found['annotations']] == [1, 2]


def test_each_split_has_its_images_in_the_order_of_its_list(tmp_path):
    source = write_source(
        tmp_path / 'a',
        dict(train=dict(b=CELLS, a=[]), val=dict(c=CELLS), test=dict(d=CELLS)))
    root = write_bccd(source, tmp_path / 'bccd')
    for split, names in dict(train='ba', val='c', test='d').items():
        content = read(root, split)
        assert [i['file_name'] for i in content['images']
                ] == [f'{name}.jpg' for name in names]
        assert sorted(os.listdir(osp.join(root,
                                          split))) == sorted(f'{name}.jpg'
                                                             for name in names)
    assert {a['image_id'] for a in read(root, 'train')['annotations']} == {1}


def test_it_loads_as_the_configs_load_it(tmp_path):
    CocoDataset = pytest.importorskip('mmdet.datasets').CocoDataset
    source = write_source(tmp_path / 'a', dict(train=dict(b=CELLS)))
    dataset = CocoDataset(
        data_root=write_bccd(source, tmp_path / 'bccd'),
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        metainfo=dict(classes=('WBC', 'RBC', 'Platelets')))
    first, = dataset.load_data_list()
    assert [cell['bbox_label'] for cell in first['instances']] == [0, 1]
    assert osp.isfile(first['img_path'])


@pytest.mark.parametrize('cells, message', [
    ([('Cell', (1, 1, 5, 5))], "WBC, RBC, Platelets, but is 'Cell'"),
    ([('RBC', (7, 1, 5, 5))], 'from 7, 1 to 5, 5 is empty'),
])
def test_what_is_no_cell_is_refused_and_nothing_is_left(
        tmp_path, cells, message):
    source = write_source(tmp_path / 'a', dict(test=dict(b=cells)))
    with pytest.raises(ValueError, match=message):
        write_bccd(source, tmp_path / 'out' / 'bccd')
    assert os.listdir(tmp_path / 'out') == []


def test_another_folder_than_a_checkout_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='should be a checkout'):
        write_bccd(tmp_path, tmp_path / 'bccd')


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    source = write_source(tmp_path / 'a', dict(test=dict(b=CELLS)))
    root = write_bccd(source, tmp_path / 'bccd')
    with pytest.raises(FileExistsError, match='is there already'):
        write_bccd(source, root)
