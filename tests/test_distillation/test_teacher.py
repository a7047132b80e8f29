# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy

import pytest
import torch
from builders import build, save, teacher_of
from mmdet.models import RetinaNet
from mmengine.config import Config
from toys import retinanet

from mmw2s.distillation import FrozenTeacher
from mmw2s.distillation import teacher as module
from mmw2s.distillation.teacher_config import resolve_checkpoint

SMALL = retinanet(18, channels=8)
ZOO = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'
# An architecture of the zoo, so small that it is built in a moment.
SHRINK = {
    'model.backbone.base_channels': 4,
    'model.backbone.stem_channels': 4,
    'model.neck.in_channels': [4, 8, 16, 32],
    'model.neck.out_channels': 8,
    'model.bbox_head.in_channels': 8,
    'model.bbox_head.feat_channels': 8,
}


@pytest.fixture(scope='module')
def frozen(tmp_path_factory):
    return teacher_of(SMALL, tmp_path_factory.mktemp('t') / 'teacher.pth')


def config(model=SMALL, **fields):
    return dict(model=copy.deepcopy(model), default_scope='mmdet', **fields)


# -- frozen --------------------------------------------------------------


def test_it_has_the_weights_of_its_checkpoint(frozen):
    expected = build(SMALL, 1).state_dict()
    found = frozen.model.state_dict()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_it_stays_in_eval_whatever_train_is_called_on_or_around_it(frozen):
    around = torch.nn.ModuleList([frozen.model])
    for call in (frozen.model.train, around.train, around.eval,
                 lambda: frozen.model.train(mode=True)):
        call()
        assert not any(m.training for m in frozen.model.modules())
    assert frozen.model.train() is frozen.model


def test_none_of_its_parameters_requires_a_gradient(frozen):
    parameters = list(frozen.model.parameters())
    assert parameters and not any(p.requires_grad for p in parameters)


def test_it_follows_its_student_to_a_device(frozen):
    student = torch.nn.Conv2d(1, 1, 1, device='meta')
    assert frozen.follow(student) is frozen
    assert next(frozen.model.parameters()).device.type == 'meta'


# -- where it comes from -------------------------------------------------


def test_a_dict_of_its_fields_is_taken(tmp_path):
    path = save(build(SMALL), tmp_path / 'a.pth')
    teacher = FrozenTeacher.from_cfg(
        dict(config=config(), checkpoint=path, score=0.3))
    assert teacher.checkpoint == path and teacher.declared_score == 0.3
    assert teacher.name == 'RetinaNet'


def test_its_config_may_lie_beside_that_of_the_run(tmp_path):
    path = save(build(SMALL), tmp_path / 'a.pth')
    Config(config(load_from='a.pth')).dump(tmp_path / 'only_here.py')
    teacher = FrozenTeacher.from_cfg('only_here.py', str(tmp_path / 'run.py'))
    assert teacher.checkpoint == path


class Downloading(torch.nn.Linear):
    """Fetches weights while it is built, as timm's models do."""

    def __init__(self, pretrained=False):
        if pretrained:
            raise OSError('no network')
        super().__init__(2, 2)


def test_nothing_is_downloaded_where_the_checkpoint_has_all(tmp_path):
    path = save(Downloading(), tmp_path / 'a.pth')
    given = dict(model=dict(type=Downloading, pretrained=True))
    teacher = FrozenTeacher(given, path)
    assert teacher.cfg.model.pretrained is True
    with pytest.raises(OSError, match='no network'):
        FrozenTeacher(given, None)


# -- resumed -------------------------------------------------------------


def row_of(teacher):
    return dict(
        name=teacher.name,
        checkpoint=teacher.checkpoint,
        **teacher.fingerprint)


def test_a_resumed_run_goes_on_with_the_same_teacher(tmp_path, said):
    began = teacher_of(SMALL, tmp_path / 'a.pth')
    moved = teacher_of(SMALL, tmp_path / 'moved.pth')
    moved.check_resumed([row_of(began)])
    moved.check_resumed([])  # the hook is new to the run
    assert said == []


def test_a_resumed_run_refuses_a_teacher_of_other_weights_or_config(tmp_path):
    began = row_of(teacher_of(SMALL, tmp_path / 'a.pth'))
    other = teacher_of(SMALL, tmp_path / 'b.pth', seed=2)
    with pytest.raises(ValueError, match='a.pth.*b.pth.* of other weights: '):
        other.check_resumed([began])
    stricter = copy.deepcopy(SMALL)
    stricter['test_cfg']['score_thr'] = 0.3
    with pytest.raises(ValueError, match='of other config: '):
        teacher_of(stricter, tmp_path / 'c.pth').check_resumed([began])


def test_a_record_without_hashes_is_warned_of(tmp_path, said):
    teacher_of(SMALL, tmp_path / 'a.pth').check_resumed(
        [dict(name='x', checkpoint='y.pth')])
    assert 'cannot be made sure: its record names no hash' in said[0]


def test_random_weights_of_a_resumed_run_are_warned_of(said):
    first, second = (FrozenTeacher(config(), None) for _ in range(2))
    said.clear()
    second.check_resumed([row_of(first)])
    assert 'it has no checkpoint, and its weights are others' in said[0]


@pytest.mark.parametrize('wrap', [dict, Config])
def test_a_whole_config_is_taken_with_its_load_from(tmp_path, wrap):
    path = save(build(SMALL), tmp_path / 'a.pth')
    teacher = FrozenTeacher.from_cfg(wrap(config(load_from=path)))
    assert teacher.checkpoint == path


def test_the_path_of_a_config_is_taken_and_names_it(tmp_path):
    path = save(build(SMALL), tmp_path / 'a.pth')
    file = tmp_path / 'teacher.py'
    Config(config(load_from=path)).dump(file)
    teacher = FrozenTeacher.from_cfg(str(file))
    assert teacher.name == str(file) and teacher.checkpoint == path


def test_a_config_of_an_installed_package_is_taken(tmp_path):
    cfg = dict(config=ZOO, checkpoint=None, cfg_options=SHRINK)
    untrained = FrozenTeacher.from_cfg(cfg)
    path = save(untrained.model, tmp_path / 'zoo.pth')
    teacher = FrozenTeacher.from_cfg(dict(cfg, checkpoint=path))
    assert type(teacher.model).__module__.startswith('mmdet.')
    assert teacher.name == ZOO
    assert teacher.model.bbox_head.num_classes == 80


def test_a_classifier_takes_the_preprocessor_beside_its_model():
    pytest.importorskip('mmpretrain')
    teacher = FrozenTeacher.from_cfg(
        dict(
            config='mmpretrain::resnet/resnet18_8xb16_cifar10.py',
            checkpoint=None,
            cfg_options={
                'model.backbone.base_channels': 4,
                'model.head.in_channels': 32
            }))
    assert teacher.model.data_preprocessor.mean.flatten().tolist() == \
        pytest.approx([125.307, 122.961, 113.8575])


def test_its_config_is_left_as_it_was_given():
    given = Config(config())
    # mmdet's detectors write into the nested dicts of what they are built of.
    assert FrozenTeacher(given, None).cfg.model.to_dict() == SMALL
    assert given.model.to_dict() == SMALL


def test_cfg_options_are_merged_into_the_config(tmp_path):
    teacher = FrozenTeacher(
        config(), None, cfg_options={'model.bbox_head.num_classes': 5})
    assert teacher.model.bbox_head.num_classes == 5
    assert SMALL['bbox_head']['num_classes'] == 2


def test_auto_takes_the_url_that_the_model_zoo_lists():
    url = resolve_checkpoint(ZOO, 'auto', Config())
    assert url.startswith('https://') and url.endswith('.pth')
    assert 'retinanet_r18_fpn_1x_coco' in url


def test_the_url_of_the_model_zoo_is_what_is_loaded(monkeypatch):
    asked = []

    def load(source, trust):
        asked.append(source)
        return FrozenTeacher(
            ZOO, None,
            cfg_options=SHRINK).model.state_dict(), dict(CLASSES=('a', 'b'))

    monkeypatch.setattr(module, 'load_weights', load)
    teacher = FrozenTeacher(ZOO, cfg_options=SHRINK)
    assert asked == [teacher.checkpoint] and 'retinanet_r18' in asked[0]
    assert teacher.classes == ('a', 'b')


def test_auto_without_a_zoo_or_load_from_says_what_to_give():
    with pytest.raises(ValueError, match='"auto".*path or a URL'):
        FrozenTeacher(config())


def test_auto_for_a_config_without_weights_in_the_zoo_says_what_to_give():
    name = 'mmdet::_base_/models/retinanet_r50_fpn.py'
    with pytest.raises(ValueError, match='lists no weights for .*give'):
        resolve_checkpoint(name, 'auto', Config())


def test_a_teacher_without_a_checkpoint_is_warned_of(said):
    teacher = FrozenTeacher(config(), None)
    assert teacher.checkpoint is None
    assert 'no checkpoint: its weights are what building its' in said[0]


@pytest.mark.parametrize('meta', [
    dict(dataset_meta=dict(classes=('a', 'b'), palette=[])),
    dict(dataset_meta=dict(CLASSES=['a', 'b'])),
    dict(CLASSES=('a', 'b')),
])
def test_it_knows_the_classes_that_its_checkpoint_names(tmp_path, meta):
    path = save(build(SMALL), tmp_path / 'a.pth', **meta)
    assert FrozenTeacher(config(), path).classes == ('a', 'b')


@pytest.mark.parametrize('meta', [{},
                                  dict(dataset_meta=None),
                                  dict(CLASSES='coco'),
                                  dict(dataset_meta='coco')])
def test_a_checkpoint_that_names_no_classes_is_taken_too(tmp_path, meta):
    path = save(build(SMALL), tmp_path / 'a.pth', **meta)
    assert FrozenTeacher(config(), path).classes is None


# -- refused -------------------------------------------------------------


def test_a_missing_config_is_refused_by_name():
    with pytest.raises(FileNotFoundError, match="no file 'nowhere.py'"):
        FrozenTeacher.from_cfg('nowhere.py')


def test_a_package_that_is_not_installed_is_refused_and_not_installed():
    with pytest.raises(
            ModuleNotFoundError, match='package mmnothing, which is not'):
        FrozenTeacher.from_cfg('mmnothing::a/b.py')


def test_a_config_without_a_model_is_refused(tmp_path):
    file = tmp_path / 'schedule.py'
    file.write_text('max_epochs = 12\n')
    with pytest.raises(
            ValueError, match='the key "model", but has '
            'max_epochs'):
        FrozenTeacher.from_cfg(str(file))


def test_a_teacher_without_a_config_is_refused():
    with pytest.raises(ValueError, match='the key "config"'):
        FrozenTeacher.from_cfg(dict(checkpoint='a.pth'))


def test_fields_beside_the_key_model_of_a_config_are_refused(tmp_path):
    with pytest.raises(
            ValueError, match='beside checkpoint, score: put the model into'):
        FrozenTeacher.from_cfg(
            dict(config(), load_from='b.pth', checkpoint='a.pth', score=0.9))


def test_a_class_as_the_models_type_gives_its_name():
    model = dict(SMALL, type=RetinaNet)
    assert FrozenTeacher(config(model), None).name == 'RetinaNet'


def test_a_declared_score_that_no_rule_asks_for_is_warned_of(said, tmp_path):
    teacher = FrozenTeacher(config(), None, score=0.4)
    said.clear()
    teacher.check_score({})
    assert 'teacher.score is 0.4000, but' in said[0]


def test_an_unknown_field_is_refused_and_the_nearest_named():
    with pytest.raises(
            TypeError,
            match='teacher has no field "chekpoint": '
            'did you mean "checkpoint"'):
        FrozenTeacher.from_cfg(dict(config=config(), chekpoint='a.pth'))


def test_an_unknown_precision_is_refused():
    with pytest.raises(
            ValueError,
            match="one of 'run', 'fp32', 'fp16', 'bf16', "
            "but got 'half'"):
        FrozenTeacher(config(), None, precision='half')


@pytest.mark.parametrize('value', ['no', 'False', 'True', 1, None])
def test_only_true_trusts_a_checkpoint(tmp_path, value):
    fields = dict(config=config(), checkpoint=None, trust_checkpoint=value)
    with pytest.raises(
            ValueError,
            match='trust_checkpoint should be True or '
            f'False, but got {value!r}'):
        FrozenTeacher.check_cfg(fields)
    with pytest.raises(ValueError, match='trust_checkpoint should be'):
        FrozenTeacher(**fields)


def test_weights_of_other_shapes_are_refused_with_both_shapes(tmp_path):
    path = save(
        build(retinanet(18, num_classes=5, channels=8)), tmp_path / 'five.pth')
    with pytest.raises(ValueError) as error:
        FrozenTeacher(config(), path)
    text = str(error.value)
    assert 'bbox_head.retina_cls.weight is (15, 8, 3, 3) in the file and ' \
        '(6, 8, 3, 3) in the model' in text
    assert 'num_classes' in text and 'five.pth' in text


def test_weights_of_another_architecture_are_refused_by_key(tmp_path):
    path = save(build(retinanet(50, channels=8)), tmp_path / 'r50.pth')
    with pytest.raises(ValueError, match='does not fit|another architecture'):
        FrozenTeacher(config(), path)
    other = retinanet(18, channels=8)
    other['bbox_head']['stacked_convs'] = 2
    path = save(build(other), tmp_path / 'deeper.pth')
    with pytest.raises(
            ValueError,
            match='another architecture.*the model '
            r'has no bbox_head.cls_convs.1.conv.weight, '):
        FrozenTeacher(config(), path)
    path = save(build(SMALL), tmp_path / 'small.pth')
    with pytest.raises(
            ValueError,
            match='the file lacks '
            r'bbox_head.cls_convs.1.conv.weight, .* and 1 more'):
        FrozenTeacher(config(other), path)


def test_old_counters_and_normalization_buffers_may_differ(tmp_path):
    weights = build(SMALL).state_dict()
    weights = {
        k: v
        for k, v in weights.items() if not k.endswith('num_batches_tracked')
    }
    weights['data_preprocessor.mean'] = torch.zeros(3, 1, 1)
    torch.save(weights, tmp_path / 'old.pth')
    FrozenTeacher(config(), str(tmp_path / 'old.pth'))


def test_modules_learn_the_version_of_their_part_of_the_file(
        tmp_path, monkeypatch):
    path, versions = save(build(SMALL), tmp_path / 'a.pth'), []
    load = torch.nn.BatchNorm2d._load_from_state_dict

    def note(self, state_dict, prefix, local_metadata, *args):
        versions.append(local_metadata.get('version'))
        load(self, state_dict, prefix, local_metadata, *args)

    monkeypatch.setattr(torch.nn.BatchNorm2d, '_load_from_state_dict', note)
    FrozenTeacher(config(), path)
    assert versions and set(versions) == {2}
