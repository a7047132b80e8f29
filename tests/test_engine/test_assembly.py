# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from builders import teacher_field
from entries import TemperatureSpy
from mmengine.config import Config
from mmengine.registry import MODELS
from runs import find, rows, train
from toys import retinanet, run_config

from mmw2s.engine.assembly import Fields
from mmw2s.engine.hooks import WeakTeacherDistillHook

DISTILL = [
    dict(knowledge=dict(type='FPNFeatures'), loss=dict(type='PKDLoss')),
    dict(
        knowledge=dict(type='DenseHeadOutputs'),
        loss=dict(type='QualityFocalKDLoss', loss_weight=1.))
]
SCHEDULE = dict(type='WarmupHoldDecay', warmup=0.02, hold=0.13)


@MODELS.register_module()
class _WeighedLoss(TemperatureSpy):
    """One of a user's, with a buffer; it notes where it is moved."""

    moved = []

    def __init__(self):
        super().__init__()
        self.register_buffer('weights', torch.ones(1))

    def to(self, device):
        self.moved.append(device)
        return super().to(device)


class TestFieldsInPart:

    def test_what_is_left_out_is_the_default(self):
        assert Fields('t.py').completed('distill', lambda: DISTILL) == DISTILL

    def test_what_is_given_in_full_is_left_as_it_is(self):
        fields = Fields('t.py', schedule=dict(type='Constant'))
        assert fields.in_full('schedule') == dict(type='Constant')
        assert fields.completed('schedule', None) == dict(type='Constant')

    def test_a_base_config_need_not_have_what_is_to_be_deleted(self):
        cfg = dict(_delete_=True, type='Constant', value=1.)
        fields = Fields('t.py', schedule=cfg)
        fields.check()
        assert fields.in_full('schedule') == dict(type='Constant', value=1.)
        assert '_delete_' in cfg

    def test_one_number_of_the_default_is_changed(self):
        fields = Fields('t.py', schedule=dict(hold=0.3))
        assert fields.in_full('schedule') is None
        assert fields.completed('schedule', lambda: SCHEDULE) == \
            dict(SCHEDULE, hold=0.3)
        assert SCHEDULE['hold'] == 0.13

    def test_one_entry_of_the_default_is_changed(self):
        fields = Fields('t.py', distill={'1': dict(loss=dict(loss_weight=8.))})
        first, second = fields.completed('distill', lambda: DISTILL)
        assert first == DISTILL[0]
        assert second['loss'] == dict(
            type='QualityFocalKDLoss', loss_weight=8.)

    def test_places_may_be_numbers(self):
        fields = Fields('t.py', distill={1: dict(loss=dict(loss_weight=8.))})
        fields.check()
        _, second = fields.completed('distill', lambda: DISTILL)
        assert second['loss']['loss_weight'] == 8.

    def test_it_may_be_completed_twice(self):
        loss = dict(_delete_=True, type='CWDLoss')
        fields = Fields('t.py', distill={'0': dict(loss=loss)})
        for _ in range(2):
            (first, ) = fields.completed(
                'distill', lambda: [dict(loss=dict(type='PKDLoss', eps=1.))])
            assert first['loss'] == dict(type='CWDLoss')

    @pytest.mark.parametrize('distill', [{
        'x': dict(loss=dict(loss_weight=3.))
    }, {
        '-1': dict(loss=dict(loss_weight=3.))
    }, {
        '0': 3.
    }, {
        '0': None
    }])
    def test_what_is_no_entry_is_refused_before_anything_is_built(
            self, distill):
        with pytest.raises(
                TypeError, match=r'distill should be a list .* in part'):
            Fields('t.py', distill=distill).check()

    def test_an_entry_that_the_default_lacks_is_refused(self):
        fields = Fields('t.py', distill={'2': dict(loss=dict(loss_weight=8.))})
        with pytest.raises(
                KeyError,
                match=r'distill.2 is no entry .* distill.full.2, in the list'):
            fields.completed('distill', lambda: DISTILL)

    def test_all_that_is_known_of_the_model_is_asked_for_by_name(self):
        fields = Fields('t.py', distill='full')
        fields.check()
        assert fields.is_full and not Fields('t.py').is_full
        assert fields.completed('distill', lambda: DISTILL) == DISTILL

    def test_one_entry_of_all_that_is_known_is_changed(self):
        part = dict(full={'1': dict(loss=dict(loss_weight=8.))})
        fields = Fields('t.py', distill=part)
        fields.check()
        assert fields.is_full
        _, second = fields.completed('distill', lambda: DISTILL)
        assert second['loss']['loss_weight'] == 8.

    @pytest.mark.parametrize('base', [None, dict(full={})])
    def test_options_change_an_entry_of_a_config_that_asks_for_all(self, base):
        cfg = Config(dict(distill=base) if base else dict())
        cfg.merge_from_dict({'distill.full.1.loss.loss_weight': 8.})
        fields = Fields('t.py', distill=cfg.distill)
        fields.check()
        assert fields.is_full
        _, second = fields.completed('distill', lambda: DISTILL)
        assert second['loss']['loss_weight'] == 8.

    @pytest.mark.parametrize('distill', [
        dict(full={}),
        dict(full=None),
        dict(_delete_=True, full={}),
    ])
    def test_all_that_is_known_may_be_asked_for_by_an_empty_part(
            self, distill):
        fields = Fields('t.py', distill=distill)
        fields.check()
        assert fields.is_full
        assert fields.completed('distill', lambda: DISTILL) == DISTILL

    @pytest.mark.parametrize('word', ['all', 'FULL', ''])
    def test_another_word_is_refused(self, word):
        with pytest.raises(TypeError, match=f"'full', or in part.*'{word}'"):
            Fields('t.py', distill=word).check()

    @pytest.mark.parametrize('given, message', [
        (dict(schedule=dict(hld=0.3)),
         r'WeakTeacherDistillHook.schedule \(WarmupHoldDecay\) has no field '
         '"hld": did you mean "hold"'),
        (dict(stop=dict(consecutive=0)),
         r'WeakTeacherDistillHook.stop \(SurpassTeacher\).consecutive should'),
    ])
    def test_what_does_not_fit_is_refused_before_training(
            self, pictures, tmp_path, given, message):
        hook = dict(
            type='WeakTeacherDistillHook',
            teacher=teacher_field(retinanet(18), tmp_path / 't.pth'),
            **given)
        cfg = run_config(pictures, tmp_path / 'run', hooks=[hook])
        with pytest.raises((TypeError, ValueError), match=message):
            train(cfg)

    def test_a_dict_for_the_list_is_told(self):
        with pytest.raises(TypeError, match='put it in brackets'):
            Fields('t.py', distill=DISTILL[0]).check()


class TestATeacherOfSmallerImages:

    @pytest.fixture
    def run(self, pictures, tmp_path):

        def config(**fields):
            teacher = teacher_field(retinanet(18), tmp_path / 't.pth')
            hook = dict(
                type='WeakTeacherDistillHook',
                teacher=dict(teacher, scale=0.5),
                **fields)
            return run_config(pictures, tmp_path / 'run', hooks=[hook])

        return config

    def test_it_teaches_features_alone_and_is_scored_at_that_size(
            self, run, tmp_path):
        cfg = run(distill='full')
        cfg.log_level = 'INFO'
        runner = train(cfg)
        chosen = find(runner, WeakTeacherDistillHook).session.chosen
        assert [e['knowledge']['type']
                for e in chosen['distill']] == ['FPNFeatures']
        log, = (tmp_path / 'run').glob('*/*.log')
        assert 'goes without DenseHeadOutputs: the teacher sees smaller ' \
            'images' in log.read_text()
        row, = rows(tmp_path / 'run', 'teacher')
        assert row['metrics']['coco/bbox_mAP'] is not None

    def test_without_validation_it_ends_in_the_middle(self, run):
        cfg = run()
        cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
        runner = train(cfg)
        chosen = find(runner, WeakTeacherDistillHook).session.chosen
        assert chosen['stop'] == dict(type='At', iter=4)

    def test_training_losses_of_other_images_are_not_compared(self, run):
        with pytest.raises(ValueError, match='compares training losses on'):
            train(run(stop=dict(type='SurpassOnTrain')))


def test_a_loss_with_tensors_of_its_own_goes_to_the_students_device(
        pictures, tmp_path):
    hook = dict(
        type='WeakTeacherDistillHook',
        teacher=teacher_field(retinanet(18), tmp_path / 't.pth'),
        distill=[
            dict(
                knowledge=dict(type='FPNFeatures'),
                loss=dict(type='_WeighedLoss'))
        ],
        stop=dict(type='At', iter=1))
    train(run_config(pictures, tmp_path, hooks=[hook], epochs=1))
    assert _WeighedLoss.moved == [torch.device('cpu')]
