# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Which parts of mmw2s may import which others."""
import ast
from pathlib import Path

import pytest

import mmw2s

ROOT = Path(mmw2s.__file__).parent


def imported_by(part):
    """The parts of mmw2s that the modules of one import, itself left out."""
    found = {}
    for path in (ROOT / part).rglob('*.py'):
        package = path.parent.relative_to(ROOT.parent).parts
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if not isinstance(node, ast.ImportFrom):
                continue
            module = (node.module or '').split('.')
            if node.level:
                module = [*package[:len(package) - node.level + 1], *module]
            if module[0] == 'mmw2s' and module[1:2] != [part]:
                found.setdefault(module[1], path.name)
    return found


@pytest.mark.parametrize('part, below', [
    ('utils', ()),
    ('records', ('utils', )),
    ('models', ('compatibility', 'registry', 'utils')),
])
def test_a_floor_imports_those_below_it_alone(part, below):
    others = {k: v for k, v in imported_by(part).items() if k not in below}
    assert others == {}


@pytest.mark.parametrize('part', ['distillation', 'models', 'records'])
def test_what_a_run_is_made_of_knows_nothing_of_the_run(part):
    assert not imported_by(part).keys() & {'engine', 'profiling', 'cli'}


def test_imports_are_found():
    assert {'distillation', 'records', 'utils'} <= imported_by('engine').keys()
