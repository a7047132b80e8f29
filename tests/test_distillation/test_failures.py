# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch

from mmw2s.distillation.class_matching import check_classes
from mmw2s.distillation.failures import is_of_the_machine, is_told, retold


@pytest.mark.parametrize('error', [
    MemoryError(),
    torch.OutOfMemoryError(),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
])
def test_errors_of_the_machine(error):
    assert is_of_the_machine(error)


@pytest.mark.parametrize('error', [
    RuntimeError('shapes differ'),
    ValueError('cannot allocate memory'),
    OSError(),
])
def test_errors_of_the_models(error):
    assert not is_of_the_machine(error)


def raised(function, *args):
    with pytest.raises(ValueError) as found:
        function(*args)
    return found.value


class TestTold:

    def test_an_error_of_mmw2s(self):
        given = dict(name='t', classes=('b', 'a'))
        error = raised(lambda: check_classes(
            type('Teacher', (), given), ('a', 'b'), strict=True))
        assert is_told(error)

    def test_an_error_of_others(self):
        assert not is_told(raised(int, 'x'))

    def test_an_error_that_was_not_raised(self):
        assert not is_told(ValueError())


class TestRetold:

    def test_it_says_what_failed_and_keeps_the_cause(self):
        with pytest.raises(ValueError, match=r"^head: \(KeyError: 'x'\)$") \
                as found:
            with retold(lambda told: f'head: {told}'):
                {}['x']
        assert isinstance(found.value.__cause__, KeyError)

    def test_errors_of_the_machine_stay(self):
        with pytest.raises(MemoryError):
            with retold(lambda told: 'head'):
                raise MemoryError
