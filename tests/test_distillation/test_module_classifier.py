# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Teachers that are no models of MMEngine."""
import sys
import types

import pytest
import torch
from builders import build as detector_of
from runs import rows, scalars, train
from tiny_classifiers import CLASSES, batch, build, classifier, run_config
from torch import nn
from toys import retinanet

from mmw2s.distillation import FrozenTeacher, ModuleClassifier
from mmw2s.distillation.distiller import Distiller
from mmw2s.distillation.recipes import why_incomparable
from mmw2s.distillation.schedules import Constant
from mmw2s.distillation.terms import build_terms

NORM = dict(mean=[120., 110., 100.], std=[60., 50., 40.], bgr_to_rgb=True)
LOGITS = dict(
    knowledge=dict(type='ClassLogits'),
    loss=dict(type='KDLoss', temperature=1.))


class Net(nn.Module):
    """A plain network, with dropout that is off in eval mode."""

    def __init__(self, classes: int = 3, pretrained: bool = False) -> None:
        super().__init__()
        if pretrained:
            raise OSError('no network')
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4))
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(4, classes)

    def forward(self, images):
        return self.fc(self.drop(self.stem(images)).mean((2, 3)))


class Wrapped(Net):
    """Gives its logits as transformers does."""

    def forward(self, images):
        return types.SimpleNamespace(logits=super().forward(images))


def seeded(kind=Net, **fields):
    torch.manual_seed(3)
    return kind(**fields).eval()


@pytest.fixture(autouse=True)
def models(monkeypatch):
    """A package of the user's, ``my_models``."""
    package = types.ModuleType('my_models')
    package.__spec__ = types.SimpleNamespace(name='my_models')
    package.Net, package.made = Net, seeded()
    package.build = types.SimpleNamespace(weak=seeded)
    package.number = lambda: 3
    monkeypatch.setitem(sys.modules, 'my_models', package)
    return package


def saved(path, form):
    """A file of a plain network's program."""
    images = torch.randn(2, 3, 16, 16)
    if form == 'traced':
        torch.jit.trace(seeded(), images).save(path)
    elif form == 'scripted':
        torch.jit.script(seeded()).save(path)
    else:
        size = torch.export.Dim('batch', max=64)
        model = seeded().train(form == 'in training')
        torch.export.save(
            torch.export.export(
                model, (images, ), dynamic_shapes=({
                    0: size
                }, )), path)
    return str(path)


def teacher_of(module, **fields):
    return FrozenTeacher.from_cfg(
        dict(dict(data_preprocessor=NORM), module=module, **fields))


def expected(images, kind=Net):
    with torch.no_grad():
        out = seeded(kind)(images)
    return getattr(out, 'logits', out)


@pytest.mark.parametrize('module', [
    'my_models:made', 'my_models:build.weak',
    dict(type='my_models:build.weak'),
    dict(type='my_models:build.weak', classes=3),
    dict(type='my_models:build.weak', kind=Wrapped),
    dict(type=seeded)
])
def test_what_a_path_names_gives_its_logits(module):
    images = torch.randn(2, 3, 16, 16)
    teacher = teacher_of(module)
    with torch.no_grad():
        assert torch.equal(teacher.model(images), expected(images))


@pytest.mark.parametrize('form', ['traced', 'scripted', 'exported'])
def test_a_file_of_a_program_gives_its_logits(tmp_path, form):
    name = 'weak.pt2' if form == 'exported' else 'weak.pt'
    path = saved(tmp_path / name, form)
    images = torch.randn(5, 3, 16, 16)
    for given in (path, 'weak' + name[4:]):
        teacher = FrozenTeacher.from_cfg(
            dict(module=given, data_preprocessor=NORM),
            str(tmp_path / 'run.py'))
        with torch.no_grad():
            torch.testing.assert_close(teacher.model(images), expected(images))


def test_a_module_that_is_copied_stays_as_it_was(models):
    teacher = teacher_of('my_models:made')
    assert not any(p.requires_grad for p in teacher.model.parameters())
    assert all(p.requires_grad for p in models.made.parameters())


def test_a_checkpoint_with_the_modules_own_names_replaces_its_weights(
        tmp_path):
    torch.manual_seed(7)
    other = Net().eval()
    torch.save(other.state_dict(), tmp_path / 'a.pth')
    # With it nothing is downloaded.
    teacher = teacher_of(
        dict(type='my_models:Net', pretrained=True),
        checkpoint=str(tmp_path / 'a.pth'))
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(teacher.model(images), other(images))


def test_the_normalization_that_a_module_brings_is_taken(models):
    models.made.pretrained_cfg = dict(mean=(0.5, 0.4, 0.3), std=(0.2, 0.1, 1))
    preprocessor = ModuleClassifier('my_models:made').data_preprocessor
    assert preprocessor.mean.flatten().tolist() == pytest.approx(
        [127.5, 102., 76.5])
    assert preprocessor.std.flatten().tolist() == pytest.approx(
        [51., 25.5, 255.])
    assert preprocessor._channel_conversion


class Pretrained(Net):
    """Has weights of some classes, as timm makes it: without their head if
    the module's own classes are others."""

    def __init__(self,
                 num_classes: int = 4,
                 pretrained: bool = False,
                 trained: int = 4,
                 checkpoint_path: str = '') -> None:
        super().__init__(num_classes)
        self.num_classes = num_classes
        self.pretrained_cfg = dict(num_classes=trained)


@pytest.fixture
def pretrained(monkeypatch, models):
    """The field ``module`` of a model like timm's."""
    models.Pretrained = Pretrained
    monkeypatch.setitem(sys.modules, 'my_timm', models)
    return dict(type='my_timm:Pretrained', pretrained=True)


@pytest.mark.parametrize('trained, said', [(4, 'are of 4'),
                                           (0, 'have no head')])
def test_a_head_that_pretrained_weights_left_random_is_refused(
        pretrained, trained, said):
    module = dict(pretrained, num_classes=3, trained=trained)
    with pytest.raises(
            ValueError,
            match=f'has 3 classes, but its pretrained '
            f'weights {said}, so that its head is random'):
        teacher_of(module)


def test_a_head_that_was_trained_is_not(pretrained, tmp_path):
    path = str(tmp_path / 'trained.pth')
    torch.save(Pretrained(3).state_dict(), path)
    teacher_of(dict(pretrained, num_classes=4))
    teacher_of(dict(pretrained, num_classes=3), checkpoint=path)
    teacher_of(dict(pretrained, num_classes=3, checkpoint_path=path))
    # It claims nothing, or is a function of the user's.
    teacher_of(dict(pretrained, num_classes=3, pretrained=False))
    teacher_of(dict(pretrained, num_classes=3, type='my_models:Pretrained'))


def test_a_module_without_a_head_is_not_scored_by_its_features(pretrained):
    teacher = teacher_of(dict(pretrained, num_classes=0))
    inputs, samples = batch()
    with pytest.raises(ValueError, match='gives no logits'):
        teacher.model(inputs, samples, mode='predict')


@pytest.mark.parametrize('fields, kind, said', [
    (dict(module='my_models:made', data_preprocessor=None), ValueError,
     'made does not tell how its images are normalized: give '
     'teacher.data_preprocessor'),
    (dict(module='no_such_package:Net'), ModuleNotFoundError,
     'the package no_such_package is not installed'),
    (dict(module='my_models:Nett'), ValueError,
     "'my_models:Nett', which should be .* cannot be imported"),
    (dict(module=dict(type='my_models:Net', pretrained=True)), ValueError,
     r'my_models:Net\(pretrained=True\) failed \(OSError: no network\).*'
     'teacher.checkpoint'),
    (dict(module=dict(type='my_models:made', classes=3)), ValueError,
     'is a module already, but is given classes'),
    (dict(module='my_models:number'), ValueError,
     'should give a torch.nn.Module, but my_models:number gives a int'),
    (dict(module='missing.pt'), FileNotFoundError,
     'teacher.module should be "package.module:name"'),
    (dict(module=dict(classes=3)), ValueError,
     'teacher.module should be "package.module:name", .* but got None'),
    (dict(module='my_models:made',
          config='a.py'), ValueError, '"config" or "module", but has both'),
    (dict(module='my_models:made', data_preprocessor='rgb'), ValueError,
     'data_preprocessor should be a dict of mean, std'),
    (dict(config='a.py'), ValueError, 'is that of a teacher.module'),
])
def test_what_is_no_teacher_is_refused_by_what_was_given(fields, kind, said):
    with pytest.raises(kind, match=said):
        FrozenTeacher.from_cfg(dict(dict(data_preprocessor=NORM), **fields))


@pytest.mark.parametrize('name, form, said', [
    ('a.pt', 'weights', 'a.pt is no TorchScript that can be read'),
    ('a.pt2', 'weights', 'a.pt2 is no program of torch.export'),
    ('a.pt2', 'in training', 'was exported in training mode'),
])
def test_files_that_are_no_program_of_a_frozen_model_are_refused(
        tmp_path, name, form, said):
    path = tmp_path / name
    if form == 'weights':
        torch.save(seeded().state_dict(), path)
    else:
        saved(path, form)
    with pytest.raises(ValueError, match=said):
        teacher_of(str(path))


def pairs_of(module, entry):
    """The pairs of a batch, and what the teacher was shown."""
    student = build(classifier()).train()
    teacher = teacher_of(module).follow(student)
    distiller = Distiller(student, teacher, build_terms([entry]), Constant(1.))
    distiller.inspects = True
    distiller.bind(10, 5)
    distiller.attach()
    distiller.step(0)
    found = []
    term = distiller.terms[0]
    pairs = term.knowledge.pairs
    term.knowledge.pairs = lambda recorded, outputs: found.append(
        (pairs(recorded, outputs), outputs)) or found[-1][0]
    inputs, samples = batch()
    losses = student(inputs, samples, mode='loss')
    assert sum(v for k, v in losses.items() if 'kd' in k) > 0
    return found[0]


@pytest.mark.parametrize('form', ['code', 'traced', 'exported'])
def test_its_logits_are_those_of_the_same_images_in_its_normalization(
        tmp_path, form):
    module = 'my_models:made' if form == 'code' else saved(
        tmp_path / f'a.pt{"2" if form == "exported" else ""}', form)
    (pair, ), outputs = pairs_of(module, LOGITS)
    pixels = batch()[0] * 60 + 120  # as the student's preprocessor undone
    mean, std = (torch.tensor(NORM[k]).view(3, 1, 1) for k in ('mean', 'std'))
    shown = (pixels.flip(1) - mean) / std
    torch.testing.assert_close(outputs.inputs, shown)
    torch.testing.assert_close(pair.teacher, expected(shown))


FEATURES = dict(
    knowledge=dict(
        type='HiddenFeatures',
        module='backbone.layer1',
        teacher_module='model.stem'),
    loss=dict(type='PKDLoss'))


@pytest.mark.parametrize('form', ['code', 'exported'])
def test_its_features_are_found_by_their_names(tmp_path, form):
    module = 'my_models:made' if form == 'code' else saved(
        tmp_path / 'a.pt2', form)
    entry = dict(FEATURES, knowledge=dict(FEATURES['knowledge'], levels=[0]))
    (pair, ), outputs = pairs_of(module, entry)
    assert pair.teacher.shape == pair.student.shape
    assert outputs['model.stem'][0].output.shape == (4, 4, 8, 8)


def test_within_torchscript_nothing_can_be_watched(tmp_path):
    path = saved(tmp_path / 'a.pt', 'scripted')
    with pytest.raises(
            ValueError,
            match='model.stem is TorchScript, which '
            'cannot be watched: export'):
        pairs_of(path, FEATURES)


def test_a_run_scores_it_and_distills_its_logits(tmp_path):
    teacher = dict(module='my_models:made', data_preprocessor=NORM)
    cfg = run_config(
        tmp_path, hooks=[dict(type='WeakTeacherDistillHook', teacher=teacher)])
    runner = train(cfg)
    (row, ) = rows(tmp_path, 'teacher')
    assert row['metric'] == 'accuracy/top1' and row['name'] == 'my_models:made'
    # By hand, on the validation set: noise of three brightnesses.
    data = runner.val_dataloader.dataset
    images = torch.stack([
        torch.from_numpy(one['img'].copy()).permute(2, 0, 1).float()
        for one in (data.get_data_info(i) for i in range(len(data)))
    ])
    labels = torch.tensor(
        [data.get_data_info(i)['gt_label'] for i in range(len(data))])
    mean, std = (torch.tensor(NORM[k]).view(3, 1, 1) for k in ('mean', 'std'))
    right = expected((images.flip(1) - mean) / std).argmax(1) == labels
    assert row['score'] == pytest.approx(100 * right.float().mean().item())
    assert scalars(runner)[0]['loss_kd_logits'] > 0


def test_without_a_validation_its_cross_entropy_is_compared(tmp_path):
    teacher = dict(module='my_models:made', data_preprocessor=NORM)
    cfg = run_config(
        tmp_path, hooks=[dict(type='WeakTeacherDistillHook', teacher=teacher)])
    for name in ('val_dataloader', 'val_cfg', 'val_evaluator'):
        cfg[name] = None
    train(cfg)
    loss = build(classifier()).head.loss_module
    model = ModuleClassifier('my_models:made', NORM).eval()
    inputs, samples = batch()
    torch.testing.assert_close(
        model(inputs, samples, mode='loss')['loss'],
        loss(expected(inputs), torch.tensor([0, 1, 2, 0])))


def test_its_classes_are_matched_by_name(tmp_path):
    teacher = teacher_of('my_models:made', classes=CLASSES[::-1])
    term, = build_terms([LOGITS])
    term.knowledge.match_classes(teacher, CLASSES)
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(teacher.model(images), expected(images).flip(1))


def test_what_gives_no_logits_cannot_be_scored(models):
    models.stem = models.made.stem
    teacher = teacher_of('my_models:stem')
    inputs, samples = batch()
    with pytest.raises(ValueError, match='gives no logits .* teacher_score'):
        teacher.model(inputs, samples, mode='predict')


def test_it_is_not_scored_where_boxes_are_evaluated():
    detector = detector_of(retinanet(18))
    teacher = ModuleClassifier('my_models:made', NORM)
    assert 'class logits at most' in why_incomparable(detector, teacher)
    assert why_incomparable(build(classifier()), teacher) is None
