# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Runs whose teacher is shown other images."""
import pytest
from builders import teacher_field
from runs import rows, train, train_watched
from toys import retinanet, run_config

SMALL = retinanet(18, channels=8)


@pytest.fixture
def config(pictures, tmp_path):
    teacher = teacher_field(SMALL, tmp_path / 'teacher.pth')

    def make(permute=True, overrides={}, **fields):
        return run_config(
            pictures,
            tmp_path / f'run_{permute}',
            epochs=1,
            model=SMALL,
            hooks=[
                dict(
                    type='WeakTeacherDistillHook',
                    teacher=dict(teacher, permute=permute),
                    **fields)
            ],
            **overrides)

    return make


ALWAYS = dict(
    stop=dict(type='At', iter=10**6), schedule=dict(type='Constant', value=1.))


def test_a_run_says_in_log_and_record_that_it_is_a_control(
        config, tmp_path, capsys):
    _, seen = train_watched(config(**ALWAYS))
    row, = rows(tmp_path / 'run_True', 'teacher')
    assert row['permuted'] is True
    assert 'This run is a control' in capsys.readouterr().out
    _, plain = train_watched(config(False, **ALWAYS))
    assert 'This run is a control' not in capsys.readouterr().out
    row, = rows(tmp_path / 'run_False', 'teacher')
    assert 'permuted' not in row
    assert seen[0].keys() == plain[0].keys()
    assert seen[0]['loss_kd_fpn'] != plain[0]['loss_kd_fpn']


@pytest.mark.parametrize('fields, message', [
    (dict(stop=dict(type='SurpassOnTrain')),
     'permute=True shows the teacher other ones'),
    (dict(start=dict(type='Inherit'), distill=[]), 'nothing is compared'),
    (dict(overrides={'train_dataloader.batch_size': 1}), 'one image alone'),
    (dict(overrides={'train_dataloader.batch_size': 7}),
     'drop_last=True if it is the last'),
])
def test_what_makes_no_sense_with_it_is_refused_before_training(
        config, fields, message):
    with pytest.raises(ValueError, match=message):
        train(config(**fields))
