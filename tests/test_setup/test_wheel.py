# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import re
from email.parser import Parser
from pathlib import Path


def test_every_config_tool_and_module_is_in_the_wheel(built):
    copy, wheel = built
    names = set(wheel.namelist())
    for folder, shipped in (('configs', 'mmw2s/.mim/configs'),
                            ('tools', 'mmw2s/.mim/tools'), ('mmw2s', 'mmw2s')):
        files = [
            path.relative_to(copy / folder).as_posix()
            for path in (copy / folder).rglob('*') if path.is_file()
        ]
        assert files
        missing = [name for name in files if f'{shipped}/{name}' not in names]
        assert not missing


def test_the_wheel_has_what_openmmlabs_tools_look_for(built):
    names = built[1].namelist()
    index = built[1].read('mmw2s/.mim/model-index.yml').decode()
    paths = re.findall(r'- (\S+)', index)
    assert paths
    for path in paths:
        assert f'mmw2s/.mim/{path}' in names


def test_tests_and_leftovers_are_not_in_the_wheel(built):
    for name in built[1].namelist():
        assert name.startswith(('mmw2s/', 'mmw2s-'))
        assert '__pycache__' not in name


def test_the_checkout_stays_clean(built):
    assert not (built[0] / 'mmw2s' / '.mim').exists()


def test_the_wheel_pulls_neither_family_over_the_other(built):
    wheel = built[1]
    metadata, = (n for n in wheel.namelist() if n.endswith('/METADATA'))
    message = Parser().parsestr(wheel.read(metadata).decode())
    needed = [
        line for line in message.get_all('Requires-Dist')
        if 'extra' not in line
    ]
    assert any(line.startswith('torch') for line in needed)
    assert not any(line.startswith(('mm', 'onedl')) for line in needed)
    assert set(message.get_all('Provides-Extra')) == {
        'tests', 'docs', 'diffusion', 'quickstart', 'report', 'study',
        'trackers'
    }
    # The least that torch 2.5 runs on.
    assert message['Requires-Python'] == '>=3.9'
    # The configs on digits read scikit-learn's.
    assert any(
        line.startswith('scikit-learn') and '"diffusion"' in line
        for line in message.get_all('Requires-Dist'))


def test_an_installed_wheel_finds_the_configs_it_ships(run, tmp_path):
    code = ('import mmw2s; from mmw2s.configs_path import configs_root; '
            'print(mmw2s.config(min(str(p.relative_to(configs_root())) '
            'for p in configs_root().rglob("*.py")))); print(mmw2s.__file__)')
    path, package = run(tmp_path, '-c', code).splitlines()[-2:]
    assert Path(package).parent / '.mim' / 'configs' in Path(path).parents


def test_an_installed_wheel_has_the_command_and_its_tools(run, tmp_path):
    call = ('from importlib.metadata import distribution; '
            'entry, = [e for e in distribution("mmw2s").entry_points '
            'if e.name == "mmw2s"]; entry.load()({!r})')
    said = run(tmp_path, '-c', call.format([]))
    assert '  compare ' in said and '.mim/tools' in said
    said = run(tmp_path, '-m', 'mmw2s', 'train', '--help')
    assert 'usage: mmw2s train' in said
