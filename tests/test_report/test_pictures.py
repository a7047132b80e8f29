# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import numpy as np
import pytest
from PIL import Image

from mmw2s.report import gather, make_report
from mmw2s.report.pictures import pictures


@pytest.fixture
def draw(tmp_path):
    """Leave a picture where a run's visualizer would."""

    def draw(run, name, start='20260101_000000', noise=False):
        folder = tmp_path / run / start / 'vis_data' / 'vis_image'
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.zeros((2000, 2000, 3), np.uint8)
        if noise:
            pixels = np.random.default_rng(0).integers(
                256, size=pixels.shape, dtype=np.uint8)
        Image.fromarray(pixels[:20 if not noise else 2000]).save(folder / name)

    return draw


def shown(folders):
    rows, problems = pictures(make_report(gather(folders)))
    return [[(p.group, p.title) for p in row] for row in rows], problems


def test_like_is_compared_with_like(folders, draw):
    for run, steps in (('base_s1', (1, 2, 9)), ('w2s_s0', (1, 2))):
        for step in steps:
            draw(run, f'val_img_{step}.png')
    draw('w2s_s0', 'notes.txt.png')
    assert shown(folders) == ([[('base', 'val_img, step 2'),
                                ('w2s', 'val_img, step 2')]], [])


def test_without_a_common_step_each_shows_its_last(folders, draw):
    draw('base_s0', 'samples_10.png')
    draw('w2s_s0', 'samples_20.jpg', start='20260101_000000')
    draw('w2s_s0', 'samples_30.jpg', start='20260102_000000')
    assert shown(folders)[0] == [[('base', 'samples, step 10'),
                                  ('w2s', 'samples, step 30')]]


def test_pictures_are_small_and_not_too_many(folders, draw):
    for i in range(6):
        draw('base_s0', f'noise {i}_1.png', noise=True)
    rows, problems = pictures(make_report(gather(folders)))
    assert 1 <= len(rows) <= 4 and 'Not all pictures' in problems[0]
    assert all(max(p.width, p.height) <= 440 for row in rows for p in row)
    assert sum(len(p.link) for row in rows for p in row) < 1_500_000
