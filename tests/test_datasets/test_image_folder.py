# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
from mmengine.registry import DATASETS
from PIL import Image

import mmw2s  # noqa: F401


def write(folder, name, color, size=(8, 8)):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size, color).save(folder / name)


def read(folder, **fields):
    return DATASETS.build(
        dict(**{
            'type': 'ImageFolder',
            'data_root': str(folder),
            'size': 8,
            **fields
        }))


def test_images_are_red_green_blue_in_the_order_of_their_names(tmp_path):
    write(tmp_path, 'b.png', (0, 0, 255))
    write(tmp_path, 'a.png', (255, 0, 0))
    (tmp_path / 'notes.txt').write_text('')
    dataset = read(tmp_path)
    assert len(dataset) == 2
    assert dataset[0]['inputs'][:, 0, 0].tolist() == [255, 0, 0]
    assert dataset[1]['data_samples'].sample_idx == 1
    assert 'gt_label' not in dataset[0]['data_samples']


def test_sub_folders_are_classes(tmp_path):
    write(tmp_path, 'dog/0.png', 'white')
    write(tmp_path, 'cat/0.png', 'black')
    dataset = read(tmp_path)
    assert dataset.metainfo['classes'] == ('cat', 'dog')
    assert [d['data_samples'].gt_label.item() for d in dataset] == [0, 1]
    assert dataset[1]['inputs'].min() == 255


def test_the_middle_is_taken_and_resized(tmp_path):
    image = np.zeros((20, 60, 3), np.uint8)
    image[:, 20:40] = 200
    Image.fromarray(image).save(tmp_path / '0.png')
    found = read(tmp_path, size=10)[0]['inputs']
    assert found.shape == (3, 10, 10) and (found == 200).all()


def test_grey_gives_one_channel(tmp_path):
    write(tmp_path, '0.png', (90, 90, 90))
    assert read(tmp_path, grey=True)[0]['inputs'].shape == (1, 8, 8)


def test_an_empty_or_missing_folder_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match='has none'):
        read(tmp_path)
    with pytest.raises(FileNotFoundError, match='does not exist'):
        read(tmp_path / 'none')


def test_images_of_more_than_8_bits_are_refused(tmp_path):
    Image.fromarray(np.full((8, 8), 1000, np.uint16)).save(tmp_path / '0.png')
    with pytest.raises(ValueError, match='8 bits a channel.*mode I'):
        read(tmp_path, grey=True)[0]


def test_linked_folders_are_classes_too(tmp_path):
    write(tmp_path, 'elsewhere/0.png', 'white')
    write(tmp_path, 'data/cat/0.png', 'black')
    (tmp_path / 'data/dog').symlink_to(tmp_path / 'elsewhere')
    dataset = read(tmp_path / 'data')
    assert dataset.metainfo['classes'] == ('cat', 'dog')
    assert len(dataset) == 2


def test_labels_are_numbered_by_given_classes(tmp_path):
    for name in 'ac':
        write(tmp_path, f'{name}/0.png', 'white')
    dataset = read(tmp_path, metainfo=dict(classes=('c', 'b', 'a')))
    assert dataset.metainfo['classes'] == ('c', 'b', 'a')
    assert [d['data_samples'].gt_label.item() for d in dataset] == [2, 0]
    with pytest.raises(ValueError, match=r'sub-folders c, .* \(a, b\)'):
        read(tmp_path, metainfo=dict(classes=('a', 'b')))


def test_images_beside_the_sub_folders_are_told(tmp_path, said):
    write(tmp_path, 'cat/0.png', 'white')
    write(tmp_path, 'stray.png', 'white')
    dataset = read(tmp_path)
    assert 'no labels: 1 of its 2 images, such as stray.png' in said[0]
    assert 'gt_label' not in dataset[0]['data_samples']


def test_a_damaged_image_is_named(tmp_path):
    noise = np.random.RandomState(0).randint(0, 255, (200, 200, 3), np.uint8)
    for name in ('cut.png', 'cut.jpg', 'torn.png'):
        Image.fromarray(noise).save(tmp_path / name)
    for name in ('cut.png', 'cut.jpg'):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[:len(whole) // 2])
    whole = (tmp_path / 'torn.png').read_bytes()
    last = whole.rindex(b'IDAT')
    (tmp_path / 'torn.png').write_bytes(whole[:last] + b'\0' * 4 +
                                        whole[last + 4:])
    dataset = read(tmp_path)
    for i, name in enumerate(('cut.jpg', 'cut.png', 'torn.png')):
        with pytest.raises(OSError, match=f'cannot read .*{name}: '):
            dataset[i]


def test_images_of_a_camera_are_upright(tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # held upright, turned by 90 degrees
    Image.fromarray(pixels).save(tmp_path / '0.png', exif=exif)
    image = read(tmp_path)[0]['inputs']
    assert (image[..., 4:] == 255).all() and (image[..., :4] == 0).all()
