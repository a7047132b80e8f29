# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
from growing import GrowingRun

from mmw2s.watch import Row, Stage


@pytest.fixture
def grow(tmp_path):
    """A run that was begun in a folder of that name."""
    return lambda name, **kwargs: GrowingRun(tmp_path / name, **kwargs).start()


@pytest.fixture
def row_of(tmp_path):
    """What is shown of the run in a folder of that name."""

    def row_of(name, state=None, expected=None):
        return Row.of(Stage(name, state, str(tmp_path / name), expected))

    return row_of
