# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The pages build, and the tutorial runs."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mmw2s
from mmw2s.registry import KNOWLEDGE, RECIPES, SCHEDULES, STARTS, STOP_RULES

ROOT = Path(__file__).parents[1]
TUTORIAL = ROOT / 'docs' / 'tutorial.ipynb'


@pytest.fixture(scope='module')
def pages(tmp_path_factory):
    """The built pages; a warning of Sphinx fails."""
    for name in ('sphinx', 'myst_parser', 'furo'):
        pytest.importorskip(name)
    out = tmp_path_factory.mktemp('html')
    done = subprocess.run(
        [sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-n', '-q'] +
        [str(ROOT / 'docs'), str(out)],
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
def test_the_pages_show_every_type_that_a_config_may_name(pages):
    api = ''.join(p.read_text() for p in (pages / 'api').glob('*.html'))
    shown = set(re.findall(r'id="mmw2s\.[\w.]+\.(\w+)"', api))
    losses = mmw2s.models.losses.__all__
    hooks = mmw2s.engine.hooks.__all__
    registered = {
        name
        for registry in (KNOWLEDGE, RECIPES, SCHEDULES, STARTS, STOP_RULES)
        for name, cls in registry.module_dict.items()
        if cls.__module__.startswith('mmw2s.')
    }
    assert registered
    assert {*losses, *hooks, *registered} - shown == set()


def test_the_tutorial_shows_a_run_and_names_configs_that_exist():
    cells = json.loads(TUTORIAL.read_text())['cells']
    assert len(cells) == 15
    outputs = [
        output['output_type'] for cell in cells
        for output in cell.get('outputs', [])
    ]
    assert 'display_data' in outputs or 'execute_result' in outputs
    assert 'error' not in outputs
    named = re.findall(r"mmw2s\.config\('(.*?)'\)", TUTORIAL.read_text())
    assert named and all(Path(mmw2s.config(name)).is_file() for name in named)


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path, monkeypatch):
    nbformat = pytest.importorskip('nbformat')
    nbclient = pytest.importorskip('nbclient')
    pytest.importorskip('ipykernel')
    monkeypatch.setenv('MMW2S_TUTORIAL', 'short')
    monkeypatch.setenv('MMW2S_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    notebook = nbformat.read(str(TUTORIAL), 4)
    nbclient.NotebookClient(
        notebook, resources=dict(metadata=dict(path=str(tmp_path)))).execute()
    assert (tmp_path / 'work_dirs/quickstart/report/report.json').is_file()
