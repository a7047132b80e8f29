# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Which parts of mmw2s may import which others, wherever in a file."""
import ast
from pathlib import Path

import pytest

import mmw2s
from mmw2s.moved import MODULES, NAMES

ROOT = Path(mmw2s.__file__).parent

# Each floor and what it stands on, itself left out. What any file may import
# has no floor: the registries, the version and the place of the configs.
GROUND = {'registry', 'version', 'configs_path'}
FLOORS = {
    'utils': set(),
    'records': {'utils'},
    'models': {'utils', 'records'},
    'datasets': {'utils', 'records'},
    'evaluation': {'utils', 'records'},
    'distillation': {'utils', 'records', 'models'},
    'engine': {'utils', 'records', 'models', 'distillation'},
    'profiling': {'utils', 'records', 'models', 'distillation', 'engine'},
    'analysis': {'utils', 'records'},
    'watch': {'utils', 'records', 'analysis'},
    'report': {'utils', 'records', 'analysis'},
    'pair': {
        'utils', 'records', 'models', 'distillation', 'engine', 'profiling',
        'analysis', 'watch'
    },
    'study': {
        'utils', 'records', 'models', 'distillation', 'engine', 'profiling',
        'analysis', 'watch', 'pair'
    },
}


def names_of(path):
    """The dotted name of a module, and that of the package it is in."""
    name = path.relative_to(ROOT.parent).with_suffix('').parts
    return '.'.join(name).removesuffix('.__init__'), list(name[:-1])


def is_main(node):
    """``if __name__ == '__main__'``: of a script, which is on no floor."""
    return isinstance(node, ast.If) and \
        ast.unparse(node.test) == "__name__ == '__main__'"


def nodes(node):
    yield node
    for child in ast.iter_child_nodes(node):
        if not is_main(child):
            yield from nodes(child)


def imports_in(nodes, package):
    """The dotted names that import statements ask for: ``module.name``."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module.split('.') if node.module else []
            if node.level:
                base = package[:len(package) - node.level + 1] + base
            yield from ('.'.join([*base, a.name]) for a in node.names)


def imports_of(part):
    """(file, what it imports of mmw2s) for all files of a part."""
    for path in sorted((ROOT / part).rglob('*.py')):
        tree = ast.parse(path.read_text(encoding='utf-8'))
        for name in imports_in(nodes(tree), names_of(path)[1]):
            if name.startswith('mmw2s.'):
                yield path.relative_to(ROOT).as_posix(), name[len('mmw2s.'):]


@pytest.mark.parametrize('part', FLOORS)
def test_a_floor_imports_those_below_it_alone(part):
    allowed = FLOORS[part] | GROUND | {part}
    if part == 'utils':
        allowed = {'utils', 'version'}
    others = [(file, name) for file, name in imports_of(part)
              if name.split('.')[0] not in allowed]
    assert others == []


def test_nothing_but_its_users_imports_the_watch():
    users = {
        file.split('/')[0]
        for file, name in imports_of('.') if name.split('.')[0] == 'watch'
    }
    assert 'watch' in users and users <= {'watch', 'pair', 'study'}


def test_records_know_no_runner_and_no_figure():
    outside = ('mmengine.runner', 'matplotlib', 'rich')
    for path in (ROOT / 'records').glob('*.py'):
        tree = ast.walk(ast.parse(path.read_text(encoding='utf-8')))
        names = imports_in(tree, names_of(path)[1])
        assert not [name for name in names if name.startswith(outside)], path


def test_each_folder_has_a_floor():
    folders = {path.parent.name for path in ROOT.glob('*/__init__.py')}
    assert folders - {'configs'} == set(FLOORS)


def test_the_registries_know_nothing_but_how_to_build():
    names = imports_in(
        ast.walk(ast.parse((ROOT / 'registry.py').read_text())), ['mmw2s'])
    assert {n for n in names if n.startswith('mmw2s')} == \
        {'mmw2s.utils.building.build_checked'}


def test_nothing_imports_a_path_of_an_earlier_version():
    old = {
        *MODULES, *(f'{m}.{n}' for m, names in NAMES.items() for n in names)
    }
    given = [(file, f'mmw2s.{name}') for file, name in imports_of('.')]
    assert len(given) > 300
    assert not [(file, name) for file, name in given
                if name in old or name.rpartition('.')[0] in old]


def imported_with(name, found):
    """All modules of mmw2s that are loaded together with one."""
    path = ROOT.parent.joinpath(*name.split('.'))
    path = path / '__init__.py' if path.is_dir() else path.with_suffix('.py')
    if name in found or not path.is_file():
        return
    found.add(name)
    body = ast.parse(path.read_text(encoding='utf-8')).body
    for wanted in imports_in(body, names_of(path)[1]):
        if wanted.startswith('mmw2s.'):
            steps = wanted.split('.')
            for i in range(2, len(steps) + 1):
                imported_with('.'.join(steps[:i]), found)


def test_a_training_run_does_not_load_what_it_does_not_need():
    found = set()
    imported_with('mmw2s', found)
    assert len(found) > 100
    needless = ('mmw2s.profiling', 'mmw2s.pair', 'mmw2s.study', 'mmw2s.watch',
                'mmw2s.report', 'mmw2s.datasets.converters', 'mmw2s.cli')
    assert not [name for name in found if name.startswith(needless)]
