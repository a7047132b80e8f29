# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest

from mmw2s.distillation.deciding_metric import deciding_metric, deciding_score

MAP = 'coco/bbox_mAP'


def test_of_several_metrics_the_log_names_the_one_that_decides(said):
    given = {'coco/bbox_mAP_50': 0.5, MAP: 0.3}
    assert deciding_score('auto', given) == (MAP, 0.3)
    assert said[0].startswith(f'{MAP} decides, of coco/bbox_mAP_50, {MAP}.')
    assert deciding_score('coco/bbox_mAP_50', given)[1] == 0.5
    assert len(said) == 1


def test_a_metric_that_nobody_knows_is_asked_for():
    with pytest.raises(ValueError, match='none .* main one: a, b. Name the'):
        deciding_metric(['a', 'b'])


@pytest.mark.parametrize('score', [None, float('nan'), -1.])
def test_what_is_no_score_is_refused(score):
    with pytest.raises(ValueError, match='not a finite number, or COCO'):
        deciding_score(MAP, {MAP: score})
