# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import random
import re

import pytest

from mmw2s.distillation.stop_rules import SurpassOnTrain, SurpassTeacher

MAP = 'coco/bbox_mAP'


def val(score, iteration=0, metric=MAP):
    metrics = {} if score is None else {metric: score}
    return dict(event='val', iter=iteration, metrics=metrics)


def surpass(teacher=0.3, metric=MAP, **fields):
    rule = SurpassTeacher(metric=metric, **fields)
    rule.bind(100, 10, {MAP: teacher, 'heldout/acc': 0.9, 'val/FID': 60.})
    return rule


def decisions(rule, rows):
    return [rule.after(row) is not None for row in rows]


class TestSurpassTeacher:

    @pytest.mark.parametrize('fields, words', [
        (dict(consecutive=1), f'{MAP} > 0.3'),
        (dict(margin=0.05), f'{MAP} > 0.35 twice in a row'),
        (dict(metric='val/FID', rule='less', margin=5.,
              consecutive=3), 'val/FID < 55 3 times in a row'),
    ])
    def test_its_condition_in_words(self, fields, words):
        assert surpass(**fields).condition() == words

    @pytest.mark.parametrize('count, words', [
        (1, 'surpassed the teacher in 1 validation'),
        (2, 'surpassed the teacher in 2 validations in a row'),
    ])
    def test_its_reason_in_words(self, count, words):
        rule = surpass(consecutive=count)
        reasons = [rule.after(val(0.4)) for _ in range(count)]
        assert reasons[:-1] == [None] * (count - 1)
        assert reasons[-1] == f'the student {words}'

    def test_half_of_the_run_is_the_latest_point(self):
        rule = surpass()
        assert rule.ends_at() == 50
        assert rule.at(49) is None
        assert rule.at(50).startswith('50% of the run is over')

    def test_after_so_many_validations_in_a_row(self):
        scores = [0.2, 0.31, 0.29, 0.31, 0.32, 0.33]
        assert decisions(surpass(), map(val, scores)) == \
            [False, False, False, False, True, True]
        assert decisions(surpass(consecutive=3), map(val, scores)) == \
            [False] * 5 + [True]

    def test_a_score_equal_to_the_teachers_does_not_beat_it(self):
        assert decisions(surpass(consecutive=1), [val(0.3), val(0.3001)]) == \
            [False, True]

    def test_the_margin_is_asked_for_on_top(self):
        rule = surpass(0.5, consecutive=1, margin=0.25)
        assert decisions(rule, [val(0.75), val(0.76)]) == [False, True]

    def test_where_less_is_better(self):
        rule = surpass(metric='val/FID', rule='less', consecutive=1, margin=5.)
        rows = [val(s, metric='val/FID') for s in (70., 56., 54.)]
        assert decisions(rule, rows) == [False, False, True]

    def test_what_is_better_is_inferred_from_the_metrics_name(self):
        rule = SurpassTeacher(metric='val/loss', teacher_score=2.)
        rule.bind(100, 10)
        assert rule.rule == 'less'
        assert surpass().rule == 'greater'

    def test_an_unknown_metric_needs_a_rule(self):
        with pytest.raises(ValueError, match='give rule="greater"'):
            surpass(metric='val/FID')

    @pytest.mark.parametrize('gap', [None, float('nan')])
    def test_without_the_metric_the_count_begins_anew(self, gap):
        assert decisions(surpass(), map(val, [0.4, gap, 0.4, 0.4])) == \
            [False, False, False, True]

    def test_a_held_out_metric_decides_alone(self):
        rule = surpass(metric='heldout/acc', rule='greater', consecutive=1)
        row = dict(
            event='val', iter=1, metrics={
                MAP: 0.99,
                'heldout/acc': 0.8
            })
        assert rule.after(row) is None
        row['metrics']['heldout/acc'] = 0.95
        assert rule.after(row)
        assert rule.scores() == dict(
            metric='heldout/acc', student=0.95, teacher=0.9)

    def test_auto_takes_the_main_metric_wherever_it_stands(self):
        rule = SurpassTeacher()
        rule.bind(100, 10, {'accuracy/top5': 90., 'accuracy/top1': 60.})
        assert rule.scores()['metric'] == 'accuracy/top1'
        assert surpass(metric='auto').scores() == dict(
            metric=MAP, student=None, teacher=0.3)

    def test_metrics_of_which_none_is_known_are_asked_about(self):
        with pytest.raises(ValueError, match='speed, beauty. Name the one'):
            SurpassTeacher().bind(100, 10, dict(speed=1., beauty=2.))

    def test_a_rule_is_asked_for_before_anything_is_built(self):
        with pytest.raises(
                ValueError, match='"val/FID" are better: give rule='):
            SurpassTeacher(metric='val/FID')
        with pytest.raises(ValueError, match='"FID" are better: give rule='):
            SurpassTeacher().check_metrics(['FID'])
        SurpassTeacher(rule='less').check_metrics(['FID'])

    @pytest.mark.parametrize('score', [None, -1., float('nan')])
    def test_what_is_no_score_is_not_taken_for_the_teachers(self, score):
        with pytest.raises(ValueError, match='no ground truth'):
            surpass(score)

    @pytest.mark.parametrize('fields, message', [
        (dict(margin=1.), 'SurpassTeacher.margin is 1, but .* was 0.01 meant'),
        (dict(student_best=40.), 'student_best is 40, .* was 0.4 meant'),
        (dict(teacher_score=30.), 'teacher_score is 30, .* was 0.3 meant'),
        (dict(rule='less'), "of coco/bbox_mAP smaller values are better, but"),
    ])
    def test_odd_values_are_warned_of(self, fields, message, warned):
        surpass(**fields)
        assert re.search(message, '\n'.join(warned))

    def test_a_metric_not_given_is_refused_with_the_list(self):
        with pytest.raises(
                ValueError,
                match="metric is 'bbox_mAP', but the "
                f'evaluator gives {MAP}, heldout/acc, val/FID'):
            surpass(metric='bbox_mAP')

    def test_a_teacher_without_any_metric_is_refused(self):
        rule = SurpassTeacher()
        with pytest.raises(ValueError, match='teacher detects nothing'):
            rule.bind(100, 10, {})

    def test_a_given_score_is_not_measured(self):
        rule = SurpassTeacher(metric=MAP, teacher_score=0.2, consecutive=1)
        rule.bind(100, 10)
        assert not rule.needs_teacher_score
        assert decisions(rule, [val(0.19), val(0.21)]) == [False, True]

    def test_a_metric_that_is_null_is_not_called_unknown(self, warned):
        rule = surpass(teacher_score=0.3)
        rule.after(dict(event='val', iter=1, metrics={MAP: None, 'k': 0.2}))
        assert not warned
        rule.after(dict(event='val', iter=2, metrics={'k': 0.2}))
        assert len(warned) == 1

    def test_a_metric_not_given_is_warned_of_once(self, warned):
        rule = SurpassTeacher(metric='coco/mAP', teacher_score=0.2)
        rule.bind(100, 10)
        assert decisions(rule, [val(0.3), val(0.3), val(None)]) == [False] * 3
        assert len(warned) == 1 and MAP in warned[0]

    @pytest.mark.parametrize('fields, message', [
        (dict(consecutive=0), 'consecutive should be an integer >= 1'),
        (dict(consecutive=1.5), 'consecutive should be an integer >= 1'),
        (dict(rule='more'), "rule should be one of None, 'greater', 'less'"),
        (dict(teacher_score='mesured'),
         'teacher_score, unless "measured", should'),
        (dict(teacher_score=float('nan')),
         'teacher_score, unless "measured", should'),
        (dict(teacher_score=0.3), 'metric should be a name'),
    ])
    def test_bad_fields_are_refused(self, fields, message):
        with pytest.raises(ValueError, match=message):
            SurpassTeacher(**fields)

    @pytest.mark.parametrize('share, first', [(0.5, 50), (0.333, 34),
                                              (1., 100)])
    def test_a_teacher_not_surpassed_ends_at_the_latest_point(
            self, share, first):
        rule = surpass(latest=share)
        assert [i for i in range(101) if rule.at(i)][0] == first

    def test_without_a_latest_point_it_goes_on_to_the_end(self):
        assert surpass(latest=None).at(100) is None

    def test_rows_of_other_events_are_no_validations(self):
        rule = surpass(consecutive=2)
        rows = [
            val(0.4),
            dict(event='train', iter=1, student=1., teacher=2.),
            dict(event='teacher', iter=0, metrics={MAP: 0.}),
            val(0.4)
        ]
        assert decisions(rule, rows) == [False, False, False, True]

    def test_a_teacher_outside_its_band_is_warned_of(self, warned):
        surpass(0.3, student_best=0.4)
        text, = warned
        assert 'is 0.3 ' in text and '75% as good, too weak' in text

    def test_a_useful_teacher_is_not_warned_of(self, warned):
        surpass(0.35, student_best=0.4)
        surpass(0.3)
        assert not warned

    def test_where_less_is_better_so_is_the_band(self, warned):
        surpass(
            metric='val/FID', rule='less', student_best=55.)  # it scores 60
        assert not warned
        surpass(metric='val/FID', rule='less', student_best=61.)
        assert 'too strong' in warned[0]

    def test_a_teacher_that_scores_nothing_is_warned_of(self, warned):
        surpass(0.)
        assert 'nothing can be learned' in warned[0]

    @pytest.mark.parametrize('best', [0., -1., 'high'])
    def test_a_best_that_is_not_positive_is_refused(self, best):
        with pytest.raises(ValueError, match='student_best should be'):
            SurpassTeacher(student_best=best)


def train(student, teacher):
    return dict(event='train', iter=0, student=student, teacher=teacher)


class TestSurpassOnTrain:

    def test_its_defaults(self):
        rule = SurpassOnTrain()
        rule.bind(100, 10)
        assert rule.train_loss_interval == 50 and rule.ends_at() == 50
        assert decisions(rule, [train(1., 2.)] * 5) == [False] * 4 + [True]
        # 80 % of the mean before, 20 % of what is new.
        assert rule.after(train(7., 2.)) is None
        assert rule.scores()['student'] == pytest.approx(2.2)

    @pytest.mark.parametrize('who', ['student', 'teacher'])
    @pytest.mark.parametrize('value', [float('nan'), float('inf')])
    def test_an_overflow_is_no_look(self, who, value):
        rule = SurpassOnTrain(min_looks=2)
        rows = [train(1., 2.), dict(train(1., 2.), **{who: value})]
        assert decisions(rule, rows) == [False, False]
        assert rule.after(train(1., 2.)) is not None
        assert rule.scores()['student'] == pytest.approx(1.)

    def test_a_loss_equal_to_the_teachers_is_not_below(self):
        rule = SurpassOnTrain(momentum=0., min_looks=0)
        assert rule.after(train(2., 2.)) is None

    def test_losses_are_smoothed_as_by_hand(self):
        rule = SurpassOnTrain(momentum=0.5, min_looks=1)
        rows = [train(4., 2.), train(2., 2.), train(0.8, 2.)]
        assert decisions(rule, rows) == [False, False, True]
        # 4; (4 + 2) / 2 = 3; (3 + 0.8) / 2 = 1.9 < 2
        assert rule.scores() == dict(
            metric='training loss', student=pytest.approx(1.9), teacher=2.)

    def test_it_looks_a_few_times_before_it_stops(self):
        rule = SurpassOnTrain(min_looks=3)
        assert decisions(rule,
                         [train(1., 2.)] * 4) == [False, False, True, True]

    def test_the_margin_is_a_share_of_the_teachers_loss(self):
        rule = SurpassOnTrain(momentum=0., min_looks=1, margin=0.1)
        assert decisions(rule, [train(1.85, 2.), train(1.75, 2.)]) == \
            [False, True]

    def test_validations_do_not_concern_it(self):
        rule = SurpassOnTrain(min_looks=1)
        assert not rule.needs_validation and not rule.needs_teacher_score
        assert rule.after(val(9.)) is None

    @pytest.mark.parametrize('fields, message', [
        (dict(interval=0), 'interval should be an integer >= 1'),
        (dict(min_looks=-1), 'min_looks should be an integer >= 0'),
        (dict(momentum=1.), 'momentum should be a finite number >= 0 and < 1'),
    ])
    def test_bad_fields_are_refused(self, fields, message):
        with pytest.raises(ValueError, match=message):
            SurpassOnTrain(**fields)


def make(kind):
    rule = SurpassOnTrain(min_looks=3) if kind == 'train' else \
        surpass(consecutive=2, margin=0.01)
    rule.bind(100, 10, {MAP: 0.3})
    return rule


class TestReplay:

    @pytest.mark.parametrize('kind', ['val', 'train'])
    @pytest.mark.parametrize('seed', range(8))
    def test_replayed_rows_decide_alike_at_every_cut(self, kind, seed):
        rng = random.Random(seed)
        rows = []
        for i in range(30):
            score = rng.uniform(0.2, 0.4) if rng.random() < 0.9 else None
            rows.append(val(score, i))
            rows.append(train(rng.uniform(0.5, 2.3), rng.uniform(1., 2.)))
        whole = make(kind)
        unbroken = decisions(whole, rows)
        assert any(unbroken)
        for cut in range(len(rows) + 1):
            resumed = make(kind)
            for row in rows[:cut]:
                resumed.after(row)
            assert decisions(resumed, rows[cut:]) == unbroken[cut:]
            assert resumed.scores() == whole.scores()
