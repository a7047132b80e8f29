# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.distillation.respelt_names import canonical_name

# As mmpretrain 1.2.0 and onedl-mmpretrain 1.3.6 have nos. 295 and 509.
PAIRS = [
    ('American black bear, black bear, Ursus americanus, Euarctos americanus',
     'American black bear, black bear, Ursus americans, Euarctos americans'),
    ('confectionery, confectionary, candy store',
     'confectionery, confectionery, candy store'),
]


@pytest.mark.parametrize('first, second', PAIRS)
def test_a_respelt_class_is_the_same_class(first, second):
    assert canonical_name(first) == canonical_name(second)


def test_other_classes_are_told_apart():
    names = [PAIRS[0][0], PAIRS[1][1], 'crane', 'Crane']
    assert len({canonical_name(name) for name in names}) == 4


def test_the_installed_package_has_one_of_the_spellings():
    pytest.importorskip('mmpretrain')
    from mmpretrain.datasets.categories import IMAGENET_CATEGORIES as names
    assert names[295] in PAIRS[0] and names[509] in PAIRS[1]
