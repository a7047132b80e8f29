# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
from mmengine.config import Config

from mmw2s.pair.options import Options
from mmw2s.pair.starting import TEACHES_FROM, give_start, start_alone

START = dict(type='Inherit')


@pytest.fixture
def config(tmp_path):
    """Writes a student's config, and gives its path."""

    def write(**fields):
        path = str(tmp_path / 'student.py')
        hook = dict(type='WeakTeacherDistillHook', teacher='t.py', **fields)
        Config(dict(default_hooks=dict(w2s=hook))).dump(path)
        return path

    return write


def distill_in(path):
    return Config.fromfile(path).default_hooks.w2s.get('distill')


def test_of_a_weak_teacher_a_started_student_takes_the_weights_alone(config):
    path = config(start=START)
    assert start_alone(path, 0.7)
    assert distill_in(path) == []
    assert Config.fromfile(path).default_hooks.w2s.start == START
    assert start_alone(path, 0.7)  # a call that goes on


@pytest.mark.parametrize('share', [None, TEACHES_FROM, 1.1])
def test_another_teacher_teaches_too(config, share):
    path = config(start=START)
    assert not start_alone(path, share)
    assert distill_in(path) is None


@pytest.mark.parametrize('fields', [
    dict(),
    dict(start=START, distill='full'),
])
def test_what_is_asked_for_is_taught(config, fields):
    path = config(**fields)
    assert not start_alone(path, 0.1)
    assert distill_in(path) == fields.get('distill')


def test_a_config_may_say_that_nothing_is_taught(config):
    assert start_alone(config(start=START, distill=[]), 0.9)


@pytest.mark.parametrize('kind, changes, is_alone', [
    ('ImageClassifier', dict(), True),
    ('mmpretrain.ImageClassifier', dict(), True),
    ('RetinaNet', dict(), False),
    ('ImageClassifier', dict(teach='yes'), False),
    ('ImageClassifier', dict(own=dict(start=START)), False),
    ('ImageClassifier', dict(own=dict(distill='full')), False),
])
def test_a_classifier_that_starts_takes_the_weights_alone(
        kind, changes, is_alone):
    changes = dict(changes)
    hook = dict(
        type='WeakTeacherDistillHook',
        teacher='t.py',
        **changes.pop('own', {}))
    student = Config(dict(model=dict(type=kind), default_hooks=dict(w2s=hook)))
    said, rate = give_start(student, Options('', '', **changes), START,
                            'Note.')
    assert (student.default_hooks.w2s.get('distill') == []) == is_alone
    assert ('Classifiers that start ended higher'
            in ' '.join(said)) == is_alone
    assert student.default_hooks.w2s.start == START and rate == 1
