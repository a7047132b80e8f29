# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What OpenMMLab's tools find the configs by."""
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

from mmw2s.configs_path import configs_root
from mmw2s.utils.hook_configs import hook_configs

ROOT = configs_root().parent
METAFILES = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']


def read(path):
    return yaml.safe_load((ROOT / path).read_text())


MODELS = [model for path in METAFILES for model in read(path)['Models']]


def test_all_metafiles_are_in_the_index():
    found = ROOT.glob('configs/**/metafile.yml')
    assert sorted(ROOT / path for path in METAFILES) == sorted(found)


def test_all_students_and_nothing_else_are_in_a_metafile():
    students = [
        path.relative_to(ROOT).as_posix()
        for path in ROOT.glob('configs/**/w2s_*.py')
        if '_base_' not in path.parts
    ]
    assert sorted(model['Config'] for model in MODELS) == sorted(students)


def test_the_index_is_well_formed():
    index = pytest.importorskip('modelindex').load(
        str(ROOT / 'model-index.yml'))
    assert len(index.models) == len(MODELS)
    # A README is named from the root, as in all of OpenMMLab.
    assert [e for e in index.check(silent=True) if 'README' not in e] == []


@pytest.mark.parametrize('path', METAFILES)
def test_a_metafile_has_one_collection_to_which_all_belong(path):
    content = read(path)
    collection, = content['Collections']
    assert (ROOT / collection.get('README', path)).is_file()
    for model in content['Models']:
        assert model['In Collection'] == collection['Name']


@pytest.mark.parametrize('model', MODELS, ids=lambda model: model['Name'])
def test_an_entry_names_its_config_and_the_teacher_in_it(model):
    assert model['Name'] == Path(model['Config']).stem
    cfg = Config.fromfile(str(ROOT / model['Config']))
    hook, = hook_configs(cfg, 'WeakTeacherDistillHook')
    assert model['Metadata']['Teacher'] == Path(hook.teacher.config).stem
