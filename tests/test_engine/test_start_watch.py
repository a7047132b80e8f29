# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json

import pytest

from mmw2s.engine.start_watch import compare_with_baseline, find_baseline
from mmw2s.records.files import EVENTS, FILENAME


def write(folder, *rows, **fields):
    """The record of a run with (epoch, metrics) as its validations."""
    folder.mkdir(exist_ok=True)
    history = [
        dict(
            epoch=epoch,
            iter=round(8 * epoch),
            train_seconds=epoch,
            wall_seconds=epoch,
            metrics=metrics) for epoch, metrics in rows
    ]
    path = folder / FILENAME
    path.write_text(
        json.dumps(dict(schema_version=1, history=history, **fields)))
    return str(path)


def validation(epoch, **metrics):
    return dict(
        iter=round(8 * epoch),
        epoch=epoch,
        metrics={
            key.replace('__', '/'): v
            for key, v in metrics.items()
        })


@pytest.fixture
def compare(tmp_path):

    def run(row, *args, name='run'):
        return compare_with_baseline(str(tmp_path / name), row, *args)

    return run


def test_a_student_behind_its_baseline_is_warned_of(compare, tmp_path, warned):
    path = write(tmp_path / 'run_baseline', (1., {
        'coco/bbox_mAP': .2
    }), (2., {
        'coco/bbox_mAP': .3
    }))
    found = compare(validation(1., coco__bbox_mAP=.1))
    assert found == dict(
        metric='coco/bbox_mAP',
        student=.1,
        baseline=.2,
        epoch=1.,
        baseline_epoch=1.,
        path=path)
    text, = warned
    assert 'coco/bbox_mAP 0.1, its baseline had 0.2 at epoch 1.00' in text
    assert 'start=None' in text and path in text


def test_a_student_ahead_is_told_without_a_warning(compare, tmp_path, said,
                                                   warned):
    write(tmp_path / 'run_baseline', (1., {'coco/bbox_mAP': .2}))
    assert compare(validation(1., coco__bbox_mAP=.3))['student'] == .3
    assert len(said) == 1 and warned == []


@pytest.mark.parametrize('score, count', [(.1, 0), (.3, 1)])
def test_less_may_be_better(compare, tmp_path, warned, score, count):
    write(tmp_path / 'run_baseline', (1., {'diffusion/denoising_mse': .2}))
    compare(validation(1., diffusion__denoising_mse=score))
    assert len(warned) == count


def test_the_metric_and_its_rule_may_be_given(compare, tmp_path, warned):
    write(tmp_path / 'run_baseline', (1., dict(acc=.9, odd=.2)))
    assert compare(validation(1., acc=.1, odd=.1), 'odd') is None
    assert compare(validation(1., acc=.1, odd=.1), 'odd', 'less') is not None
    assert warned == []
    compare(validation(1., acc=.1, odd=.1), 'odd', 'greater')
    assert 'odd 0.1, its baseline had 0.2' in warned[0]


def test_the_last_validation_before_is_taken(compare, tmp_path, warned):
    write(tmp_path / 'run_baseline', (.5, dict(acc=.2)),
          (1.333333, dict(acc=.4)), (2., dict(acc=.6)))
    assert compare(validation(4 / 3, acc=.3))['baseline'] == .4
    found = compare(validation(1.25, acc=.3))
    assert found['baseline'] == .2 and found['baseline_epoch'] == .5
    assert len(warned) == 1
    assert compare(validation(.25, acc=.3)) is None


@pytest.mark.parametrize('row', [
    validation(1., other=.1),
    validation(1., acc=None),
    dict(iter=8, epoch=1., metrics={}),
])
def test_what_cannot_be_compared_is_not(compare, tmp_path, said, row):
    write(tmp_path / 'run_baseline', (1., dict(acc=.2)))
    assert compare(row, 'acc') is None
    assert said == []


def test_nothing_is_said_without_a_baseline(compare, said):
    assert compare(validation(1., acc=.1)) is None
    assert said == []


def test_a_damaged_record_is_told_of(compare, tmp_path, warned):
    path = write(tmp_path / 'run_baseline', (1., dict(acc='good')))
    assert compare(validation(1., acc=.1)) is None
    assert path in warned[0] and 'damaged' in warned[0]


def test_a_run_with_a_teacher_is_no_baseline(tmp_path):
    path = write(tmp_path / 'run_baseline', (1., dict(acc=.2)))
    assert find_baseline(f'{tmp_path}/run/') == path
    (tmp_path / 'run_baseline' / EVENTS).write_text('')
    assert find_baseline(f'{tmp_path}/run') is None


@pytest.mark.parametrize('ending', ['started', 'grown'])
def test_a_recipe_has_also_the_baseline_of_the_config_that_it_shortens(
        tmp_path, ending):
    long = write(tmp_path / 'run_baseline')
    assert find_baseline(f'{tmp_path}/run_{ending}') == long
    own = write(tmp_path / f'run_{ending}_baseline')
    assert find_baseline(f'{tmp_path}/run_{ending}') == own
    assert find_baseline(f'{tmp_path}/run_restarted') is None


def test_a_rule_that_decides_by_no_validation_has_the_main_metric(
        compare, tmp_path):
    write(tmp_path / 'run_baseline', (1., {'coco/bbox_mAP': .2}))
    found = compare(validation(1., coco__bbox_mAP=.1), 'training loss', 'less')
    assert found['metric'] == 'coco/bbox_mAP' and found['student'] == .1
