# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import recorded


@pytest.fixture
def write_run(tmp_path):
    """Write a hand-made run into a folder of that name."""

    def write(name, scores, **kwargs):
        return recorded.write_run(tmp_path / name, scores, **kwargs)

    return write
