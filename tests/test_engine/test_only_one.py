# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from types import SimpleNamespace

import pytest
from mmengine.hooks import Hook

from mmw2s.engine.only_one import refuse_another


class Own(Hook):
    pass


class Descendant(Own):
    pass


def test_one_among_others_is_taken():
    own = Own()
    refuse_another(SimpleNamespace(hooks=[Hook(), own, Hook()]), own)


@pytest.mark.parametrize('second', [Own, Descendant])
def test_a_second_one_is_refused(second):
    own = Own()
    with pytest.raises(ValueError, match='more than one Own .*keep one'):
        refuse_another(SimpleNamespace(hooks=[own, second()]), own)
