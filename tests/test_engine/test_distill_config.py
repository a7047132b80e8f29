# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The two ways to distill from Python: by a config, and by a hook object."""
import copy

import pytest
from builders import teacher_field
from entries import FPN
from mmengine.config import Config
from runs import assert_same_weights, find, rows, train
from toys import retinanet, run_config

import mmw2s
from mmw2s.engine import TimeToTargetHook, WeakTeacherDistillHook

# Three of the four iterations of each of two epochs.
FIELDS = dict(
    distill=[FPN],
    schedule=dict(type='Constant', value=1.),
    stop=dict(type='At', iter=6))
WEAK = dict(config='weak.py', checkpoint='weak.pth')


@pytest.fixture
def teacher(tmp_path):
    return teacher_field(retinanet(18), tmp_path / 'teacher.pth')


@pytest.fixture
def bare():
    """The config of a run that has only what the front door looks at."""
    return Config(dict(model=dict(type='RetinaNet')))


def hook_in(cfg):
    """The fields of the hook that was added."""
    return dict(cfg.default_hooks.w2s)


# -- by a config ---------------------------------------------------------


def test_a_run_gets_a_teacher_by_a_call(pictures, teacher, tmp_path):
    cfg = run_config(pictures, tmp_path / 'run')
    before = copy.deepcopy(cfg.to_dict())
    runner = train(mmw2s.distill(cfg, teacher))
    assert runner.iter == 8
    assert rows(tmp_path / 'run', 'teacher')[0]['metric'] == 'coco/bbox_mAP'
    assert cfg.to_dict() == before


def test_the_config_is_the_same_when_it_is_saved_and_read_again(
        pictures, teacher, tmp_path):
    cfg = mmw2s.distill(
        run_config(pictures, tmp_path / 'a'), teacher, **FIELDS)
    cfg.dump(tmp_path / 'saved.py')
    read = Config.fromfile(tmp_path / 'saved.py')
    assert read.to_dict() == cfg.to_dict()
    read.work_dir = str(tmp_path / 'b')
    assert_same_weights(train(cfg), train(read))


def test_a_path_and_the_name_of_a_config_of_ours_are_read(bare, tmp_path):
    bare.dump(tmp_path / 'mine.py')
    for path in (str(tmp_path / 'mine.py'), tmp_path / 'mine.py'):
        assert hook_in(mmw2s.distill(path, WEAK)) == dict(
            type='mmw2s.WeakTeacherDistillHook', teacher=WEAK)
    cfg = mmw2s.distill('w2s_retinanet_coco.py', task_weight=.5)
    assert hook_in(cfg)['task_weight'] == .5 and hook_in(cfg)['teacher']
    with pytest.raises(FileNotFoundError, match='no file "nowhere.py"'):
        mmw2s.distill('nowhere.py', WEAK)


@pytest.mark.parametrize('place', ['default_hooks', 'custom_hooks'])
def test_fields_of_an_existing_hook_stay_unless_they_are_given(bare, place):
    hook = dict(
        type='WeakTeacherDistillHook',
        priority='LOW',
        teacher=dict(WEAK, score=.3),
        schedule=dict(hold=.1),
        task_weight=.5)
    bare[place] = dict(mine=hook) if place == 'default_hooks' else [
        dict(type='EMAHook'), hook
    ]
    cfg = mmw2s.distill(bare, schedule=dict(decay=.2))
    found = cfg.default_hooks.mine if place == 'default_hooks' else \
        cfg.custom_hooks[1]
    assert found == dict(hook, schedule=dict(decay=.2))
    assert 'w2s' not in cfg.default_hooks
    found = mmw2s.distill(
        cfg, teacher=WEAK)[place]['mine' if place == 'default_hooks' else 1]
    assert found.teacher == WEAK  # the whole field


def test_other_hooks_stay(bare):
    bare.default_hooks = dict(logger=dict(type='LoggerHook'))
    cfg = mmw2s.distill(bare, WEAK)
    assert sorted(cfg.default_hooks) == ['logger', 'w2s']


def test_a_config_of_a_teacher_becomes_a_plain_one(bare):
    weak = Config(dict(model=dict(type='RetinaNet')))
    for teacher in (weak, dict(config=weak, checkpoint=None)):
        found = hook_in(mmw2s.distill(bare, teacher))['teacher']
        assert type(found.get('config', found).model) is not Config
        assert found.get('config', found) == weak.to_dict()


@pytest.mark.parametrize('given, names', [
    (None, ['mmw2s']),
    (dict(imports='mine'), ['mine', 'mmw2s']),
    (dict(imports=('mine', ), allow_failed_imports=True), ['mine', 'mmw2s']),
    (dict(imports=['mmw2s', 'mine']), ['mmw2s', 'mine']),
])
def test_the_package_is_imported_beside_what_is_imported_already(
        bare, given, names):
    if given is not None:
        bare.custom_imports = given
    found = mmw2s.distill(bare, WEAK).custom_imports
    assert found['imports'] == names
    assert found.get('allow_failed_imports') == \
        (given or {}).get('allow_failed_imports')


@pytest.mark.parametrize('error, match, change, fields', [
    (ValueError, 'should be given a teacher', {}, {}),
    (TypeError, 'no field "schedules": did', {}, dict(
        teacher=WEAK, schedules=1)),
    (ValueError, 'task_weight should be', {}, dict(
        teacher=WEAK, task_weight=-1)),
    (ValueError, 'one WeakTeacherDistillHook at most', {
        'custom_hooks': 2 * [dict(type='WeakTeacherDistillHook', teacher='x')]
    }, {}),
    (ValueError, 'should be a dict in the config', {
        'custom_hooks': [WeakTeacherDistillHook('x')]
    }, dict(teacher=WEAK)),
])
def test_what_cannot_be_is_refused_at_once(bare, error, match, change, fields):
    bare.merge_from_dict(change)
    with pytest.raises(error, match=match):
        mmw2s.distill(bare, **fields)


def test_a_dict_is_no_config():
    with pytest.raises(TypeError, match='Config or the path .*got dict'):
        mmw2s.distill(dict(model=dict(type='RetinaNet')), WEAK)


# -- by a hook object ----------------------------------------------------


def test_a_hook_object_does_what_the_config_does(pictures, teacher, tmp_path):
    by_config = train(
        mmw2s.distill(
            run_config(pictures, tmp_path / 'config'), teacher, **FIELDS))
    by_object = train(
        run_config(pictures, tmp_path / 'object'),
        mmw2s.WeakTeacherDistillHook(teacher, **FIELDS),
        mmw2s.TimeToTargetHook())
    assert_same_weights(by_config, by_object)
    stops = [rows(tmp_path / name, 'stop') for name in ('config', 'object')]
    assert [stop['iter'] for stop, in stops] == [6, 6]
    assert find(by_object, TimeToTargetHook).history[-1]['iter'] == 8


@pytest.mark.parametrize('priority', ['VERY_HIGH', 'LOWEST'])
def test_its_priority_does_not_matter(pictures, teacher, tmp_path, priority):
    usual, other = (
        mmw2s.WeakTeacherDistillHook(teacher, **FIELDS) for _ in range(2))
    other.priority = priority  # as `register_hook(hook, priority)` does
    runs = [
        train(run_config(pictures, tmp_path / name), hook)
        for name, hook in (('usual', usual), ('other', other))
    ]
    assert_same_weights(*runs)
    assert rows(tmp_path / 'usual', 'val') == rows(tmp_path / 'other', 'val')


def test_a_resumed_run_with_a_hook_object_goes_on_as_the_unbroken_one(
        pictures, teacher, tmp_path):

    def run(name, **overrides):
        return train(
            run_config(pictures, tmp_path / name, **overrides),
            mmw2s.WeakTeacherDistillHook(teacher, **FIELDS))

    whole = run('whole')
    resumed = run(
        'resumed',
        resume=True,
        load_from=str(tmp_path / 'whole' / 'epoch_1.pth'))
    assert_same_weights(whole, resumed)
    assert rows(tmp_path / 'resumed', 'stop')[0]['iter'] == 6
    assert rows(tmp_path / 'resumed',
                'teacher') == rows(tmp_path / 'whole', 'teacher')
