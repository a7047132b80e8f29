# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy

import pytest
from entries import BOX, CLS, FGD, FPN, SPY, TemperatureSpy, entry
from mmengine.registry import DefaultScope

from mmw2s.distillation.terms import build_terms


def test_repeated_knowledge_gets_keys_of_its_own():
    keys = [
        t.key for t in build_terms(
            [FPN, FPN, entry(FPN, name='mine'), FPN, CLS, CLS])
    ]
    assert keys == [
        'loss_kd_fpn', 'loss_kd_fpn_2', 'loss_kd_mine', 'loss_kd_fpn_3',
        'loss_kd_cls', 'loss_kd_cls_2'
    ]


@pytest.mark.parametrize('entries', [
    [FPN, entry(CLS, name='fpn')],
    [FPN, FPN, entry(CLS, name='fpn_2')],
])
def test_a_name_that_is_taken_is_refused(entries):
    with pytest.raises(
            ValueError, match=r"distill\[\d\].name: 'fpn(_2)?' is "
            'taken'):
        build_terms(entries)


@pytest.mark.parametrize('cfg, message', [
    (entry(FPN, temprature={}), r'distill\[0\] has no field "temprature": '
     'did you mean "temperature"'),
    (entry(FPN, loss_loss_wieght=1.), r'distill\[0\].loss \(PKDLoss\) has no '
     'field "loss_wieght": did you mean "loss_weight"'),
    (dict(FPN, knowledge=dict(type='FPNFeatures', level=[0])),
     r'distill\[0\].knowledge \(FPNFeatures\) has no field "level": did you '
     'mean "levels"'),
])
def test_an_unknown_field_is_refused_and_the_nearest_named(cfg, message):
    with pytest.raises(TypeError, match=message):
        build_terms([cfg])


def test_a_misspelt_loss_is_refused_and_the_nearest_named():
    with pytest.raises(KeyError) as error:
        build_terms([entry(FPN, loss_type='PKDLos')])
    assert '"PKDLos" is not a registered loss: did you mean "PKDLoss"' in \
        str(error.value)
    assert 'QualityFocalKDLoss' in str(error.value)
    assert 'DataPreprocessor' not in str(error.value)  # no loss of its kind


def test_a_loss_of_the_scope_of_the_run_is_found():
    with DefaultScope.overwrite_default_scope('mmdet'):
        term, = build_terms([dict(FPN, loss=dict(type='SmoothL1Loss'))])
    assert type(term.loss).__module__.startswith('mmdet')


@pytest.mark.parametrize('loss', ['PKDLoss', dict(loss_weight=1.)])
def test_a_loss_that_is_no_config_is_refused(loss):
    with pytest.raises(
            TypeError,
            match=r'distill\[0\].loss should be a '
            'dict with the key "type"'):
        build_terms([dict(FPN, loss=loss)])


@pytest.mark.parametrize('missing', ['knowledge', 'loss'])
def test_an_entry_needs_a_knowledge_and_a_loss(missing):
    cfg = {k: v for k, v in FPN.items() if k != missing}
    with pytest.raises(ValueError, match=f'should have the field "{missing}"'):
        build_terms([FPN, cfg])


def test_an_entry_without_its_brackets_is_refused():
    with pytest.raises(TypeError, match='put it in brackets'):
        build_terms(FPN)


def test_nothing_to_distil_is_refused():
    with pytest.raises(ValueError, match='at least one knowledge'):
        build_terms([])


def test_a_loss_of_the_user_with_further_fields_is_taken():
    term, = build_terms([entry(SPY, loss_offset=2.)])
    assert term.loss.offset == 2.
    term, = build_terms([dict(SPY, loss=dict(type=TemperatureSpy))])
    assert isinstance(term.loss, TemperatureSpy)


def test_building_leaves_the_configs_as_they_were():
    cfg = entry(FPN, loss_loss_weight='auto', auto_ratio=0.3)
    kept = copy.deepcopy(cfg)
    build_terms([cfg])
    assert cfg == kept


@pytest.mark.parametrize('given, ratio', [({}, 0.5), (dict(auto_ratio=2), 2)])
def test_an_automatic_weight_has_a_share_and_a_loss_of_weight_1(given, ratio):
    term, = build_terms([entry(FPN, loss_loss_weight='auto', **given)])
    assert term.auto_weight.ratio == ratio and term.loss.loss_weight == 1.
    assert build_terms([FPN])[0].auto_weight is None


def test_a_softmax_loss_without_a_temperature_gets_the_falling_one():
    kd = dict(CLS, loss=dict(type='KDLoss'))
    assert build_terms([kd])[0].temperature is not None
    fixed = dict(CLS, loss=dict(type='KDLoss', temperature=2.))
    assert build_terms([fixed])[0].temperature is None


def test_a_temperature_for_a_loss_that_has_none_is_refused():
    with pytest.raises(ValueError, match='PKDLoss has no temperature'):
        build_terms([entry(FPN, temperature=dict(type='Constant', value=2.))])


def test_a_share_without_an_automatic_weight_is_refused():
    with pytest.raises(
            ValueError, match=r'distill\[0\].auto_ratio has no '
            'effect unless'):
        build_terms([entry(FPN, auto_ratio=0.3)])


def test_a_loss_that_needs_labels_is_refused_where_none_are_given():
    with pytest.raises(
            ValueError,
            match='loss_kd_cls: DKDLoss needs labels, but DenseHeadOutputs '
            'gives none: use a loss without them'):
        build_terms([dict(CLS, loss=dict(type='DKDLoss'))])
    logits = dict(knowledge=dict(type='ClassLogits'))
    assert len(build_terms([dict(logits, loss=dict(type='PLDLoss'))])) == 1


def test_a_temperature_that_needs_labels_is_refused_where_none_are_given():
    dynamic = dict(type='DynamicTemperature')
    with pytest.raises(
            ValueError,
            match='loss_kd_fpn: DynamicTemperature needs labels, but '
            'FPNFeatures gives none'):
        build_terms([entry(FPN, loss_type='CWDLoss', temperature=dynamic)])
    logits = dict(
        knowledge=dict(type='ClassLogits'), loss=dict(type='DKDLoss'))
    term, = build_terms([entry(logits, temperature=dynamic)])
    assert term.state_dict() == dict(temperature=4.)


@pytest.mark.parametrize('knowledge, loss, instead', [
    (FPN, 'KDLoss', 'PKDLoss'),
    (FPN, 'DISTLoss', 'PKDLoss'),
    (FPN, 'QualityFocalKDLoss', 'PKDLoss'),
    (dict(knowledge=dict(type='HiddenFeatures')), 'DKDLoss', 'PKDLoss'),
    (BOX, 'QualityFocalKDLoss', 'BoxKDLoss'),
    (dict(knowledge=dict(type='RoIHeadOutputs')), 'QualityFocalKDLoss',
     'KDLoss'),
    (dict(knowledge=dict(type='RoIHeadOutputs', output='masks')), 'KDLoss',
     'QualityFocalKDLoss'),
    (dict(knowledge=dict(type='RoIHeadOutputs', output='boxes')), 'PLDLoss',
     'BoxKDLoss'),
    (FPN, 'FGDLoss', 'PKDLoss'),
    (FGD, 'PKDLoss', 'FGDLoss'),
    (FGD, 'MSEKDLoss', 'FGDLoss'),
])
def test_a_loss_of_something_else_is_refused_and_one_that_fits_named(
        knowledge, loss, instead):
    with pytest.raises(
            ValueError, match=f'{loss} compares .* such as {instead}$'):
        build_terms([dict(knowledge, loss=dict(type=loss))])


@pytest.mark.parametrize('knowledge, loss', [
    (FPN, dict(type='MSEKDLoss')),
    (FPN, dict(type='CWDLoss')),
    (FPN, dict(type='KDLoss', class_dim=1)),
    (BOX, dict(type='MSEKDLoss')),
    (dict(knowledge=dict(type='DenoisingFeatures')), dict(type='PKDLoss')),
    (dict(knowledge=dict(type='Denoising')), dict(type='MSEKDLoss')),
    (dict(knowledge=dict(type='RoIHeadOutputs')), dict(type='DISTLoss')),
    (FPN, dict(type='TemperatureSpy')),
    (FGD, dict(type='FGDLoss')),
])
def test_a_loss_that_takes_it_or_does_not_say_is_taken(knowledge, loss):
    assert len(build_terms([dict(knowledge, loss=loss)])) == 1


def test_with_a_module_the_share_is_that_of_its_gradient():
    auto = entry(FPN, loss_loss_weight='auto', auto_module='neck')
    term, = build_terms([auto])
    assert (term.auto_weight.module, term.auto_weight.ratio) == ('neck', 0.05)
    term, = build_terms([dict(auto, auto_ratio=0.1)])
    assert term.auto_weight.ratio == 0.1
    with pytest.raises(ValueError, match=r'distill\[0\].auto_ratio should be'):
        build_terms([dict(auto, auto_ratio=1.)])
    with pytest.raises(ValueError, match='auto_module has no effect unless'):
        build_terms([entry(FPN, auto_module='neck')])
