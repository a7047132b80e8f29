# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.configs_path import configs_root
from mmw2s.study import Study

FILE = '''
student = 'student.py'
teacher = 'teacher.py'
metric = 'coco/bbox_mAP'
margin = 0.01
arms = ['baseline', 'both']
'''


def test_a_file_has_defaults_for_what_it_leaves_out(tmp_path):
    path = tmp_path / 'study.py'
    path.write_text(FILE)
    found = Study.load(str(path))
    assert found.seeds == [0, 1, 2]
    assert list(found.targets) == ['80%', '90%', '95%']
    assert found.rule == 'greater'
    assert found.teacher == dict(config='teacher.py')
    assert found.arms == dict(baseline={}, both={})


@pytest.mark.parametrize('change, message', [
    ('maring = 1', 'the field "maring".*did you mean margin'),
    ('metric = "my/own"', 'give rule='),
    ('margin = -1', 'margin'),
    ('seeds = [0, 0]', 'each seed once'),
    ('targets = ["many"]', 'a target should be'),
    ('arms = ["both"]', 'arms should have "baseline"'),
    ('arms = ["baseline", "permuted"]', 'did you mean permuted_teacher'),
    ('arms = dict(baseline={}, both=dict(seed=[1]))', 'did you mean seeds'),
    ('arms = dict(baseline={}, mine=dict(like="bot"))', 'did you mean both'),
    ('arms = dict(baseline={}, both=dict(like="start"))', 'built-in arm'),
    ('arms = dict(baseline={}, teacher=dict(like="both"))', 'of its own'),
    ('arms = {"baseline": {}, "a/b": dict(like="both")}', 'letters, digits'),
    ('teacher = dict(checkpoint="a.pth")', 'the key "config"'),
    ('teacher = dict(config="a", checkpoint="b", useful_at=.8)', 'one of the'),
    ('teacher = dict(config="a", run="b")', 'without teacher.checkpoint'),
    ('warm_up = 0', 'warm_up'),
    ('budget = 0', 'budget'),
])
def test_what_is_wrong_is_refused_by_name(tmp_path, change, message):
    path = tmp_path / 'study.py'
    path.write_text(FILE + change)
    with pytest.raises(ValueError, match=message):
        Study.load(str(path))


def test_names_with_an_underscore_are_helpers(tmp_path):
    path = tmp_path / 'study.py'
    mine = """
_mine = [f'mine_{n}' for n in (1, 2)]
def _arm(name):
    return dict(cfg_options={'default_hooks.w2s.every': int(name[-1])})
arms = dict(baseline={}, **{name: _arm(name) for name in _mine})
"""
    path.write_text(FILE + mine)
    assert list(Study.load(str(path)).arms) == ['baseline', 'mine_1', 'mine_2']


def test_missing_fields_are_named(tmp_path):
    path = tmp_path / 'study.py'
    path.write_text('student = "student.py"')
    with pytest.raises(ValueError, match='teacher, metric, margin, arms too'):
        Study.load(str(path))
    with pytest.raises(FileNotFoundError, match='no study "none.py"'):
        Study.load('none.py')


@pytest.mark.parametrize(
    'path',
    sorted(configs_root().glob('studies/*.py')),
    ids=lambda path: path.stem)
def test_the_studies_that_come_with_mmw2s_are_whole(path):
    found = Study.load(str(path))
    assert len(found.seeds) >= 3 and 'permuted_teacher' in found.arms
