# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Configs as they are mistyped: each is right, or refused by name at once.

What is right is said a second time here, field by field, so that a check that
is missing in the package is seen.
"""
import copy
import math
import sys
from collections import Counter
from numbers import Integral, Real

import pytest

hypothesis = pytest.importorskip('hypothesis')
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from mmengine.registry import HOOKS  # noqa: E402

import mmw2s  # noqa: E402, F401

pytestmark = pytest.mark.slow
LARGEST = sys.float_info.max
REFUSED = (KeyError, TypeError, ValueError)

# -- what each field may be ----------------------------------------------


def is_number(low=-math.inf, high=math.inf, above=None, below=None):

    def fits(x):
        return isinstance(x, Real) and not isinstance(x, bool) and \
            abs(x) <= LARGEST and low <= x <= high and \
            (above is None or x > above) and (below is None or x < below)

    return fits


def is_integer(low, high=math.inf):
    return lambda x: isinstance(x, Integral) and not isinstance(x, bool) and \
        low <= x <= high


def is_one_of(*choices):
    return lambda x: any(type(x) is type(c) and x == c for c in choices)


def is_text(x):
    return isinstance(x, str) and bool(x.strip())


def is_none(x):
    return x is None


def either(*kinds):
    return lambda x: any(kind(x) for kind in kinds)


def is_levels(x):
    return isinstance(x, (list, tuple)) and len(x) > 0 and \
        all(is_integer(0)(i) for i in x) and len(set(x)) == len(x)


def are_targets(x):
    return is_number()(x) or isinstance(x, (list, tuple)) and len(x) > 0 \
        and all(is_number()(v) for v in x)


def is_options(x):
    return isinstance(x, dict) and all(isinstance(k, str) for k in x)


WEIGHT = is_number(0)
SHARE = is_number(above=0, high=1)
SPAN = is_number(0, 1)  # of schedules with unit='run'
SEED = is_integer(0, 2**32 - 1)
MODULE = is_text
FIELDS = {
    'PKDLoss':
    dict(
        per_image=is_one_of(True, False),
        eps=is_number(above=0),
        loss_weight=WEIGHT),
    'CWDLoss':
    dict(tau=is_number(above=0), loss_weight=WEIGHT),
    'MSEKDLoss':
    dict(loss_weight=WEIGHT),
    'BoxKDLoss':
    dict(beta=is_number(0), loss_weight=WEIGHT),
    'KDLoss':
    dict(
        temperature=is_number(above=0),
        class_dim=is_integer(-math.inf),
        loss_weight=WEIGHT),
    'DKDLoss':
    dict(
        alpha=is_number(0),
        beta=is_number(0),
        temperature=is_number(above=0),
        loss_weight=WEIGHT),
    'DISTLoss':
    dict(
        beta=is_number(0),
        gamma=is_number(0),
        temperature=is_number(above=0),
        eps=is_number(above=0),
        loss_weight=WEIGHT),
    'PLDLoss':
    dict(temperature=is_number(above=0), loss_weight=WEIGHT),
    'QualityFocalKDLoss':
    dict(
        beta=is_number(1), temperature=is_number(above=0), loss_weight=WEIGHT),
    'FPNFeatures':
    dict(
        module=MODULE,
        teacher_module=either(is_none, MODULE),
        levels=either(is_none, is_levels),
        seed=SEED,
        adapter=is_one_of('fixed', 'trained')),
    'HiddenFeatures':
    dict(module=MODULE, seed=SEED),
    'ClassLogits':
    dict(module=MODULE, teacher_module=either(is_none, MODULE)),
    'DenseHeadOutputs':
    dict(
        output=is_one_of('scores', 'boxes'),
        module=MODULE,
        anchors=either(is_one_of('all'), is_integer(1)),
        positive_thr=is_number(0, below=1)),
    'RPNOutputs':
    dict(
        output=is_one_of('scores', 'boxes'),
        anchors=either(is_one_of('all'), is_integer(1)),
        positive_thr=is_number(0, below=1)),
    'RoIHeadOutputs':
    dict(output=is_one_of('scores', 'boxes', 'masks'), module=MODULE),
    'Denoising':
    dict(
        kind=is_one_of('auto', 'epsilon', 'sample', 'v_prediction'),
        min_snr_gamma=either(is_none, is_one_of(math.inf),
                             is_number(above=0))),
    'DenoisingFeatures':
    dict(module=MODULE, denoiser=MODULE, seed=SEED),
    'Constant':
    dict(value=is_number(0)),
    'Linear':
    dict(
        start=is_number(0),
        end=is_number(0),
        begin=SPAN,
        length=either(is_none, SPAN),
        unit=is_one_of('run', 'epoch', 'iter')),
    'WarmupHoldDecay':
    dict(
        warmup=SPAN,
        hold=either(is_none, SPAN),
        decay=SPAN,
        peak=is_number(0),
        unit=is_one_of('run', 'epoch', 'iter'),
        shape=is_one_of('linear', 'cosine')),
    'DynamicTemperature':
    dict(
        start=is_number(above=0),
        low=is_number(above=0),
        length=either(is_none, SPAN),
        unit=is_one_of('run', 'epoch', 'iter')),
    'At':
    dict(iter=is_integer(0)),
    'SurpassTeacher':
    dict(
        metric=is_text,
        consecutive=is_integer(1),
        margin=is_number(),
        rule=is_one_of(None, 'greater', 'less'),
        teacher_score=either(is_one_of('measured'), is_number()),
        latest=either(is_none, SHARE),
        student_best=either(is_none, is_number(above=0))),
    'SurpassOnTrain':
    dict(
        interval=is_integer(1),
        momentum=is_number(0, below=1),
        margin=is_number(below=1),
        min_looks=is_integer(0),
        latest=either(is_none, SHARE)),
    'teacher':
    dict(
        config=is_text,
        checkpoint=either(is_none, is_text),
        score=either(is_none, is_number()),
        precision=is_one_of('run', 'fp32', 'fp16', 'bf16'),
        cfg_options=either(is_none, is_options),
        trust_checkpoint=is_one_of(True, False),
        scale=is_number(above=0, high=1),
        fuse=is_one_of(True, False)),
    'WeakTeacherDistillHook':
    dict(task_weight=is_number(0), every=is_integer(1)),
    'TimeToTargetHook':
    dict(
        rule=is_one_of(None, 'greater', 'less'),
        stop_at_target=is_one_of(True, False)),
    'SampleGridHook':
    dict(num=is_integer(1), seed=SEED),
    'targets': {
        'coco/bbox_mAP': are_targets,
        'accuracy/top1': are_targets
    },
    'entry':
    dict(name=is_text, auto_ratio=is_number(above=0)),
}

# -- configs that are right ----------------------------------------------

TEACHER = dict(
    config='a_config.py',
    checkpoint='a.pth',
    score=0.3,
    precision='run',
    cfg_options={'model.x': 3},
    trust_checkpoint=False,
    scale=0.5,
    fuse=True)
FEATURES = dict(
    type='FPNFeatures',
    module='neck',
    teacher_module='neck',
    levels=[0, 1],
    seed=0,
    adapter='fixed')
SCORES = dict(type='ClassLogits', module='head', teacher_module=None)
PKD = dict(type='PKDLoss', per_image=True, eps=1e-6, loss_weight=1.)
KD = dict(type='KDLoss', temperature=1., class_dim=-1, loss_weight=1.)
RAMP = dict(type='Linear', start=6., end=1., begin=0., length=0.5, unit='run')
HOLD = dict(
    type='WarmupHoldDecay',
    warmup=0.02,
    hold=0.13,
    decay=0.15,
    peak=1.,
    unit='run',
    shape='linear')
SURPASS = dict(
    type='SurpassTeacher',
    metric='coco/bbox_mAP',
    consecutive=2,
    margin=0.,
    rule='greater',
    teacher_score='measured',
    latest=0.5,
    student_best=0.4)


def distilling(knowledge, loss, schedule=HOLD, stop=SURPASS, **entry):
    return dict(
        type='WeakTeacherDistillHook',
        teacher=TEACHER,
        distill=[dict(knowledge=knowledge, loss=loss, **entry)],
        schedule=schedule,
        stop=stop,
        task_weight=1.,
        every=1)


BOXES = dict(
    type='DenseHeadOutputs',
    output='boxes',
    module='bbox_head',
    anchors='all',
    positive_thr=0.05)
BASES = [
    distilling(FEATURES, PKD, name='features'),
    distilling(
        FEATURES, dict(PKD, loss_weight='auto'), auto_ratio=0.5, name='auto'),
    distilling(SCORES, KD, temperature=RAMP),
    distilling(
        SCORES,
        dict(
            type='DKDLoss', alpha=1., beta=2., temperature=1., loss_weight=1.),
        temperature=dict(
            type='DynamicTemperature',
            start=4.,
            low=2.,
            length=0.5,
            unit='run')),
    distilling(
        SCORES,
        dict(
            type='DISTLoss',
            beta=1.,
            gamma=1.,
            temperature=1.,
            eps=1e-8,
            loss_weight=1.),
        schedule=dict(type='Constant', value=1.),
        stop=dict(type='At', iter=100)),
    distilling(SCORES, dict(type='PLDLoss', temperature=1., loss_weight=1.)),
    distilling(
        BOXES,
        dict(type='BoxKDLoss', beta=0., loss_weight=1.),
        stop=dict(
            type='SurpassOnTrain',
            interval=50,
            momentum=0.8,
            margin=0.,
            min_looks=5,
            latest=0.5)),
    distilling(
        dict(
            type='RPNOutputs',
            output='scores',
            anchors=2000,
            positive_thr=0.05),
        dict(
            type='QualityFocalKDLoss', beta=1., temperature=1.,
            loss_weight=1.)),
    distilling(
        dict(type='RoIHeadOutputs', output='scores', module='roi_head'), KD),
    distilling(
        dict(type='Denoising', kind='auto', min_snr_gamma=5.),
        dict(type='MSEKDLoss', loss_weight=1.)),
    distilling(
        dict(
            type='DenoisingFeatures',
            module='denoiser.mid_block',
            denoiser='denoiser',
            seed=0), dict(type='CWDLoss', tau=1., loss_weight=1.)),
    distilling(
        dict(type='HiddenFeatures', module='backbone.layer4', seed=0), PKD),
    dict(
        type='TimeToTargetHook',
        targets={
            'coco/bbox_mAP': [0.2, 0.3],
            'accuracy/top1': 60.
        },
        rule='greater',
        stop_at_target=False),
    dict(type='SampleGridHook', num=64, seed=0),
]

# -- mutations -----------------------------------------------------------

VALUES = st.one_of(
    st.sampled_from([
        math.nan, math.inf, -math.inf, None, True, False, '', ' ', 'no',
        'False', '1', '0.5', 'auto', [], {}, [1.], ['fixed'], [True], [0, 0],
        dict(type='Linear'), 0, 1, -1, 0., 1., 10**400, -10**400, 1j, (), b'1',
        'PKDLoss', 'never'
    ]), st.integers(), st.floats(), st.booleans(), st.text(max_size=5),
    st.lists(st.integers(0, 5), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2))


def paths_of(node, path=()):
    """Every place in a config, ``type`` left out."""
    items = node.items() if isinstance(node, dict) else enumerate(node) \
        if isinstance(node, list) else ()
    for key, value in items:
        if key != 'type':
            yield (*path, key)
            if path[-1:] != ('cfg_options', ):
                yield from paths_of(value, (*path, key))


def at(cfg, path):
    for key in path:
        cfg = cfg[key]
    return cfg


def owner_of(cfg, path):
    """The name in FIELDS of what the field at a path is one of."""
    holder = at(cfg, path[:-1])
    if isinstance(holder, dict) and 'type' in holder:
        return holder['type']
    return 'entry' if path[:1] == ('distill', ) else path[-2] \
        if len(path) > 1 else None


_DEPENDENT = ('start', 'low', 'teacher_score', 'unit', 'metric', 'auto_ratio')


def is_right(base, path, value):
    """Whether the value may stand at the path of a right config.

    None where a field is no plain value, or depends on others.
    """
    owner, name = owner_of(base, path), path[-1]
    if name == 'loss_weight' and value == 'auto':
        return True
    fits = FIELDS.get(owner, {}).get(name)
    if fits is None or path[-2:-1] == ('levels', ):
        return None
    if not fits(value):
        return False
    # With the other fields as they are, some right values do not fit.
    depends = name in _DEPENDENT or value is None and name == 'hold' or \
        at(base, path) == 'auto' and name == 'loss_weight'
    return None if depends else True


COUNTS = Counter()


def build(cfg):
    """Whether a config is taken; the message where it is not."""
    try:
        HOOKS.build(copy.deepcopy(cfg))
    except REFUSED as error:
        COUNTS['refused'] += 1
        return str(error)
    COUNTS['taken'] += 1
    return None


def check(run):
    run = settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck))(
            run)
    run()


EXAMPLES = 1500


@pytest.mark.parametrize('base', BASES, ids=str)
def test_the_configs_to_be_mutated_are_right(base):
    assert build(base) is None


def test_a_wrong_value_is_refused_and_its_field_named(capsys):

    @given(st.sampled_from(BASES), st.data(), VALUES)
    def run(base, data, value):
        path = data.draw(st.sampled_from(list(paths_of(base))))
        cfg = copy.deepcopy(base)
        at(cfg, path[:-1])[path[-1]] = value
        told = build(cfg)
        right = is_right(base, path, value)
        if told is None:
            assert right is not False, f'{path} = {value!r} is taken'
        else:
            assert right is not True, f'{path} = {value!r}: {told}'
            names = [str(k) for k in path if isinstance(k, str)]
            assert names[-1] in told or names[-1] == 'config', \
                f'{path} = {value!r}: {told}'
            assert base['type'] in told, f'{path} = {value!r}: {told}'

    check(run)
    with capsys.disabled():
        print(f'\nwrong values: {dict(COUNTS)}')


@pytest.mark.parametrize('how', ['misspell', 'drop', 'swap', 'duplicate'])
def test_fields_that_are_confused_are_refused_or_harmless(how, capsys):
    COUNTS.clear()

    @given(st.sampled_from(BASES), st.data())
    def run(base, data):
        cfg = copy.deepcopy(base)
        paths = [p for p in paths_of(base) if isinstance(p[-1], str)]
        path = data.draw(st.sampled_from(paths))
        holder, name = at(cfg, path[:-1]), path[-1]
        if how == 'misspell':
            place = data.draw(st.integers(0, len(name) - 1))
            holder[name[:place] + name[place + 1:] + '_'] = holder.pop(name)
        elif how == 'drop':
            del holder[name]
        elif how == 'duplicate' and 'distill' in cfg:
            cfg['distill'] = cfg['distill'] * 2
        else:
            other = data.draw(st.sampled_from(paths))
            if other[:len(path)] == path or path[:len(other)] == other:
                return
            holder[name] = copy.deepcopy(at(base, other))
        told = build(cfg)
        if how == 'misspell' and not {'targets', 'cfg_options'} & \
                set(path[:-1]):
            assert told is not None, f'{path} misspelled is taken'
            assert any(n in told for n in (name, *holder)), f'{path}: {told}'
        elif how == 'swap' and told is None:
            assert is_right(base, path, at(cfg, path)) is not False, \
                f'{path} = {at(cfg, path)!r} is taken'

    check(run)
    with capsys.disabled():
        print(f'\n{how}: {dict(COUNTS)}')
