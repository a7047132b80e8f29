# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import recorded

from mmw2s.report import gather, make_report

SLOW = [.1, .2, .3, .4, .5]
FAST = [.3, .4, .45, .48, .49]


@pytest.fixture
def write_run(tmp_path):
    """Write a hand-made run into a folder of that name."""

    def write(name, scores, **kwargs):
        return recorded.write_run(tmp_path / name, scores, **kwargs)

    return write


@pytest.fixture
def folders(write_run):
    """Three seeds of a baseline and of a setting, and their teacher."""
    return [
        *(write_run(f'base_s{seed}', SLOW, seed=seed) for seed in range(3)),
        *(write_run(
            f'w2s_s{seed}', FAST, seed=seed, teacher=.42, stop_epoch=2 + seed)
          for seed in range(3)),
        write_run('teacher', [.2, .42], seconds=5.)
    ]


@pytest.fixture
def report(folders):
    return make_report(gather(folders))
