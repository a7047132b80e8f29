# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
from works_with import make_teacher


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    return make_teacher(tmp_path_factory.mktemp('teacher') / 'teacher.pth')
