# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import importlib
import sys
from importlib.machinery import PathFinder

import pytest

from mmw2s.moved import MODULES, NAMES, install

OLD_NAMES = [(module, name, new) for module, names in NAMES.items()
             for name, new in names.items()]


@pytest.fixture
def imported_anew(monkeypatch):
    """Import a module as the first of a process to do so."""

    def run(name):
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name)

    return run


@pytest.mark.parametrize('old, new', MODULES.items())
def test_an_old_module_is_the_new_one(old, new, imported_anew):
    with pytest.warns(DeprecationWarning, match=f'{old} is {new} now'):
        found = imported_anew(old)
    assert found is importlib.import_module(new)
    assert found.__name__ == found.__spec__.name == new


@pytest.mark.parametrize('module, name, new', OLD_NAMES)
def test_an_old_name_is_the_new_one(module, name, new):
    with pytest.warns(DeprecationWarning, match=f'{name} is {new} now'):
        found = getattr(importlib.import_module(module), name)
    home, _, name = new.rpartition('.')
    assert found is getattr(importlib.import_module(home), name)


def test_a_name_that_moved_with_its_module_is_imported_as_ever(imported_anew):
    with pytest.warns(DeprecationWarning):
        imported_anew('mmw2s.engine.inner_model')
        from mmw2s.engine.inner_model import inner_model
    from mmw2s.utils.unwrap_model import unwrap_model
    assert inner_model is unwrap_model


def test_the_warning_is_of_the_line_that_imports(monkeypatch):
    monkeypatch.delitem(sys.modules, 'mmw2s.cache', raising=False)
    with pytest.warns(DeprecationWarning) as seen:
        import mmw2s.cache  # noqa: F401
    assert [warning.filename for warning in seen] == [__file__]


@pytest.mark.parametrize('old', MODULES)
def test_no_file_is_left_at_an_old_path(old):
    package = importlib.import_module(old.rpartition('.')[0])
    assert PathFinder.find_spec(old, package.__path__) is None


def test_what_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError, match='never_was'):
        importlib.import_module('mmw2s.engine.never_was')
    with pytest.raises(ImportError, match='never_was'):
        from mmw2s.registry import never_was  # noqa: F401


def test_an_old_module_can_be_run():
    spec = importlib.util.find_spec('mmw2s.engine.dry_run')
    assert spec.loader.get_code(spec.name).co_filename.endswith('dry_run.py')


def test_installing_twice_changes_nothing():
    before = list(sys.meta_path)
    install()
    assert sys.meta_path == before
