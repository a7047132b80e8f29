# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from mmw2s.datasets.converters import write_digit_scenes
from mmw2s.datasets.converters.digit_scenes import draw_scene
from mmw2s.datasets.digits import NUM_TRAIN_SCANS

CONFIG = (
    Path(__file__).parents[3] / 'configs/_base_/datasets/digit_scenes.py')


def small(root, **kwargs):
    return Path(
        write_digit_scenes(
            str(root), **{
                **dict(num_train=6, num_val=3),
                **kwargs
            }))


def digest(root):
    return {
        str(path.relative_to(root)):
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob('*') if path.is_file()
    }


def annotations(root, split):
    return json.loads(
        (root / 'annotations' / f'instances_{split}.json').read_text())


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    assert digest(small(tmp_path / 'a')) == digest(small(tmp_path / 'b'))


def test_another_seed_gives_other_scenes(tmp_path):
    first, other = small(tmp_path / 'a'), small(tmp_path / 'b', seed=1)
    assert digest(first)['train/000001.png'] != digest(
        other)['train/000001.png']


def test_training_and_validation_scenes_use_separate_scans(
        tmp_path, monkeypatch):
    given = []

    def spy(scans, size, rng):
        given.append(scans)
        return draw_scene(scans, size, rng)

    monkeypatch.setattr('mmw2s.datasets.converters.digit_scenes.draw_scene',
                        spy)
    small(tmp_path / 'a', num_train=1, num_val=1)
    train, val = given
    assert len(train) == NUM_TRAIN_SCANS and len(train) + len(val) == 1797
    assert not np.shares_memory(train, val)


def test_boxes_lie_inside_and_hold_the_digit(tmp_path):
    root = small(tmp_path / 'a', num_train=20)
    boxes = annotations(root, 'train')['annotations']
    assert boxes
    for box in boxes:
        x, y, w, h = box['bbox']
        assert 0 <= x < x + w <= 128 and 0 <= y < y + h <= 128
        assert 12 <= h <= 40 and box['area'] == w * h


def test_a_digit_changes_the_scene_inside_its_box_only():
    scans = np.ones((1, 8, 8), dtype=np.float32)
    scans[0, :2] = 0  # an empty margin must not be part of the box

    class OneDigit:
        """A generator whose digits can be left out."""

        def __init__(self, digits):
            self.rng, self.digits = np.random.default_rng(0), digits

        def integers(self, low, high=None, size=None):
            drawn = self.rng.integers(low, high, size)
            return self.digits if (low, high) == (3, 8) else drawn

        def normal(self, loc, scale, size):
            return np.zeros(size)

        def __getattr__(self, name):
            return getattr(self.rng, name)

    empty, _, _ = draw_scene(scans, 128, OneDigit(0))
    scene, boxes, drawn = draw_scene(scans, 128, OneDigit(1))
    assert drawn == [0]
    ys, xs = np.nonzero((scene != empty).any(axis=2))
    (x1, y1, x2, y2), = boxes
    assert x1 <= xs.min() <= x1 + 1 and x2 - 2 <= xs.max() < x2
    assert y1 <= ys.min() <= y1 + 1 and y2 - 2 <= ys.max() < y2


def test_scenes_written_already_are_left_alone(tmp_path):
    root = small(tmp_path / 'a')
    image = root / 'train' / '000001.png'
    before = image.stat().st_mtime_ns
    assert small(tmp_path / 'a') == root
    assert image.stat().st_mtime_ns == before


def test_scenes_of_another_seed_are_not_taken_for_these(tmp_path):
    small(tmp_path / 'a')
    with pytest.raises(
            FileExistsError,
            match='scenes with seed=1, but it holds some with seed=0. '
            'Give another folder, or remove this one'):
        small(tmp_path / 'a', seed=1)


def test_a_foreign_folder_is_not_overwritten(tmp_path):
    (tmp_path / 'mine.txt').write_text('precious')
    with pytest.raises(FileExistsError, match='something else'):
        small(tmp_path)
    assert (tmp_path / 'mine.txt').read_text() == 'precious'


def test_a_run_cut_off_leaves_nothing_half_written(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, 'imwrite', lambda *_: False)
    with pytest.raises(OSError, match='not written'):
        small(tmp_path / 'a')
    assert not list(tmp_path.iterdir())


def test_mmdet_reads_the_scenes_with_the_shipped_config(tmp_path):
    root = small(tmp_path / 'a')
    cfg = Config.fromfile(CONFIG).train_dataloader.dataset
    cfg.data_root = str(root)
    init_default_scope('mmdet')
    dataset = DATASETS.build(cfg)
    assert len(dataset) == 6
    expected = annotations(root, 'train')['annotations']
    sample = dataset[0]['data_samples'].gt_instances
    assert dataset[0]['inputs'].shape == (3, 128, 128)
    assert sample.labels.tolist() == [
        a['category_id'] - 1 for a in expected if a['image_id'] == 1
    ]


def test_scenes_too_small_for_a_digit_are_refused(tmp_path):
    with pytest.raises(ValueError, match='40 or more.*got 39'):
        small(tmp_path / 'a', size=39)
    assert not list(tmp_path.iterdir())
    small(tmp_path / 'a', size=40, num_train=40)


def test_a_folder_at_home_can_be_named(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    assert small('~/a', num_train=1, num_val=1) == tmp_path / 'a'
