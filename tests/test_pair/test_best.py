# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json

import pytest
import torch

from mmw2s.pair.best import best_of, choose_checkpoint, judged_by

CURVE = (.1, .3, .4, .38)


@pytest.fixture
def teacher(write_run, tmp_path):
    return write_run(tmp_path / 'teacher', CURVE)


def chosen(path):
    return torch.load(path)['state_dict']['epoch'].item()


@pytest.mark.parametrize('best, share, epoch', [(.5, .8, 3), (.5, .5, 2),
                                                (.5, .1, 1), (.9, .85, 3),
                                                (None, .85, 3)])
def test_the_earliest_that_is_good_enough_is_taken_else_the_best(
        teacher, tmp_path, best, share, epoch):
    out = str(tmp_path / 'teacher.pth')
    choice = choose_checkpoint(teacher, out, best, share)
    assert chosen(out) == choice['epoch'] == epoch
    assert choice['score'] == CURVE[epoch - 1]
    assert json.loads((tmp_path / 'teacher.pth.json').read_text()) == choice
    expected = 'not known' if best is None else f'{choice["score"] / best:.0%}'
    assert expected in choice['judged']


def test_a_choice_that_was_made_stays(teacher, tmp_path):
    out = str(tmp_path / 'teacher.pth')
    first = choose_checkpoint(teacher, out, .5, .5)
    assert choose_checkpoint(teacher, out, .5, .8) == first
    assert chosen(out) == 2


def test_a_choice_that_was_cut_is_made_again(teacher, tmp_path):
    out = tmp_path / 'teacher.pth'
    out.write_text('half of a copy')
    choose_checkpoint(teacher, str(out), .5, .5)
    assert chosen(out) == 2


def test_only_what_was_saved_is_chosen(teacher, tmp_path):
    (tmp_path / 'teacher' / 'epoch_3.pth').unlink()
    assert choose_checkpoint(teacher, str(tmp_path / 'a'), .5,
                             .8)['epoch'] == 4.
    for path in (tmp_path / 'teacher').glob('*.pth'):
        path.unlink()
    with pytest.raises(ValueError, match='both a checkpoint and a coco/bbox'):
        choose_checkpoint(teacher, str(tmp_path / 'b'), .5, .8)


def test_the_best_is_the_median_over_the_baselines(write_run, tmp_path):
    runs = [
        write_run(tmp_path / str(i), (.1, top, .2))
        for i, top in enumerate((.5, .4, .6))
    ]
    assert best_of(runs) == .5
    assert best_of([]) is None


def test_a_teacher_is_judged_by_the_metric_of_the_baselines_best(
        write_run, tmp_path):
    # The baselines' own target names one metric of two.
    scores = [{'coco/bbox_mAP': .3, 'coco/segm_mAP': .2}]
    run = write_run(tmp_path / 'base', scores)
    record = json.loads((tmp_path / 'base/time_to_target.json').read_text())
    record['targets'] = [dict(metric='coco/segm_mAP', rule='greater')]
    (tmp_path / 'base/time_to_target.json').write_text(json.dumps(record))
    assert judged_by([run]) == ('coco/segm_mAP', 'greater')
    assert best_of([run]) == .2
    assert judged_by([], 'fid', None) == ('fid', None)
