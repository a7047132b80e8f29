# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json
import shutil
from pathlib import Path

import pytest
from mmengine.config import Config

from mmw2s.study.frozen import Changed, freeze
from mmw2s.study.teachers import provide

NO_START = dict(arms=['baseline', 'distillation'])


def test_it_is_fixed_once_with_its_whole_configs(planned):
    first = freeze(planned(**NO_START))
    again = freeze(planned(**NO_START))
    assert first.content == again.content and first.amendments == []
    kept = json.loads(Path('study/study.json').read_text())
    assert kept['hash'] == first.content['hash'] and len(kept['hash']) == 64
    assert kept['versions']['torch'] and kept['when'] and kept['git']
    arm = Config.fromfile('study/configs/distillation.py')
    assert arm.default_hooks.w2s.type == 'mmw2s.WeakTeacherDistillHook'
    assert Path('study/configs/baseline.py').exists()


@pytest.mark.parametrize('change, named', [
    (dict(targets=['50%']), 'study.targets'),
    (dict(seeds=[0, 1]), 'study.seeds'),
    (dict(margin=.1), 'study.margin was 0.05, now 0.1'),
    (dict(cfg_options={'train_cfg.max_epochs': 3}), 'max_epochs was 2, now 3'),
    (dict(arms=['baseline', 'distillation', 'always_on']), 'study.arms'),
])
def test_a_change_is_refused_with_what_differs(planned, change, named):
    freeze(planned(**NO_START))
    before = Path('study/study.json').read_text()
    with pytest.raises(Changed, match=named):
        freeze(planned(**{**NO_START, **change}))
    assert Path('study/study.json').read_text() == before


def test_a_base_config_that_was_edited_is_a_change(planned):
    freeze(planned(**NO_START))
    path = Path('student.py')
    path.write_text(path.read_text().replace('lr=0.001', 'lr=0.01'))
    with pytest.raises(Changed, match='lr was 0.001, now 0.01'):
        freeze(planned(**NO_START))


def test_an_amendment_is_kept_and_told_from_then_on(planned):
    fixed = freeze(planned(**NO_START))
    changed = {**NO_START, 'margin': .1}
    found = freeze(planned(**changed), 'the margin was a typing error')
    one, = found.amendments
    assert one['why'] == 'the margin was a typing error'
    assert one['hash'] != fixed.content['hash']
    assert one['changes'] == ['study.margin was 0.05, now 0.1']
    # Later calls need no reason, and the study of before is a change.
    assert freeze(planned(**changed)).amendments == [one]
    with pytest.raises(Changed):
        freeze(planned(**NO_START))
    assert any('AMENDED' in line and one['why'] in line
               for line in found.lines())


def test_another_teacher_is_refused_while_there_is_that_of_before(planned):
    given = dict(config='teacher.py', checkpoint='weak.pth')
    shutil.copy('weak.pth', 'other.pth')
    freeze(planned(teacher=given, **NO_START))
    provide(planned(teacher=given, **NO_START), 'teacher')
    other = planned(teacher=dict(given, checkpoint='other.pth'), **NO_START)
    before = Path('study/study.json').read_text()
    with pytest.raises(Changed, match=r'\(checkpoint\), but teach'):
        freeze(other, 'a better one')
    assert Path('study/study.json').read_text() == before
    shutil.rmtree('study/teachers')
    assert freeze(other, 'a better one').amendments


def test_another_training_of_the_teacher_is_refused_too(planned, folder):
    freeze(planned(**NO_START))
    (folder / 'study' / 'teacher_training').mkdir()
    useful = dict(config='teacher.py', useful_at=.8)
    freeze(planned(teacher=useful, **NO_START), 'an earlier one')
    with pytest.raises(Changed, match='config, .*teacher_training in study'):
        freeze(planned(teacher='derive', **NO_START), 'a smaller one')


def test_a_teacher_whose_config_has_changed_is_another_one(planned, folder):
    freeze(planned(**NO_START))
    (folder / 'study' / 'teacher_training').mkdir()
    cfg = Config.fromfile('teacher.py')
    cfg.train_cfg.max_epochs = 9
    cfg.dump('teacher.py')
    with pytest.raises(Changed, match=r'\(config\), but teacher_training'):
        freeze(planned(**NO_START), 'a longer one')


def test_more_time_and_another_place_are_no_change(planned, folder):
    freeze(planned(**NO_START))
    (folder / 'study').rename(folder / 'moved')
    plan = planned(budget=100, **NO_START)
    plan.work_dir = 'moved'
    for cfg in plan.configs.values():
        text = cfg.pretty_text
        assert str(folder / 'moved') not in text
    assert freeze(planned(budget=5, **NO_START)).amendments == []
