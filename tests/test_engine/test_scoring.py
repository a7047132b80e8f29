# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import copy
import gc
import json
import os
import random
import tempfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from builders import build, save
from mmdet.evaluation import CocoMetric
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.registry import METRICS, DefaultScope
from mmengine.runner import Runner
from mmpretrain.datasets import CustomDataset
from toys import retinanet, run_config, write_pictures

from mmw2s.distillation import FrozenTeacher
from mmw2s.distillation import teacher as teacher_module
from mmw2s.engine import score_cache
from mmw2s.engine import scoring as module
from mmw2s.engine.score_cache import cache_path
from mmw2s.engine.scoring import score_teacher
from mmw2s.records.files import scalar_metrics

# Another normalization than the student's, so that it matters whose is used.
TEACHER = retinanet(18, channels=8)
TEACHER['data_preprocessor'].update(
    mean=[0., 0., 0.], std=[255., 255., 255.], bgr_to_rgb=False)
STUDENT = retinanet(18, channels=8)


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp('data'), count=4)


@pytest.fixture(scope='module')
def run(data_root, tmp_path_factory):
    """Makes runs, one for each config: scoring leaves them as they are."""
    made = {}

    def make(model=STUDENT, **overrides):
        key = str((model, overrides))
        if key not in made:
            cfg = run_config(
                data_root,
                tmp_path_factory.mktemp('work'),
                model=model,
                **overrides)
            cfg.experiment_name = f'scoring_{len(made)}'
            made[key] = Runner.from_cfg(cfg)
            made[key].val_loop
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        # Asking for the compiler's version takes a second.
        patch.setattr(Runner, '_log_env', lambda *_: None)
        yield make


@pytest.fixture(autouse=True)
def scope():
    DefaultScope.get_instance('scoring', scope_name='mmdet')


@pytest.fixture
def teacher_with(tmp_path):

    def make(seed=1, model=TEACHER):
        path = save(
            build(copy.deepcopy(model), seed), tmp_path / f'{seed}.pth')
        return FrozenTeacher(
            dict(model=copy.deepcopy(model), default_scope='mmdet'), path)

    return make


@pytest.fixture
def forwards(monkeypatch):
    """Teachers that were run; of one batch is the whole data set."""
    models, val_step = [], BaseModel.val_step

    def counted(model, data):
        models.append(model)
        return val_step(model, data)

    monkeypatch.setattr(BaseModel, 'val_step', counted)
    return models


def test_the_score_is_what_the_runs_own_validation_gives_that_model(
        run, teacher_with):
    teacher = teacher_with()
    metrics, seconds = score_teacher(teacher, run())
    with torch.random.fork_rng():
        runner = run(model=TEACHER, load_from=teacher.checkpoint)
        expected = runner.val()
    assert metrics == scalar_metrics(expected)
    assert 'coco/bbox_mAP' in metrics and seconds > 0
    # Another normalization would have given another score.
    other = copy.deepcopy(TEACHER)
    other['data_preprocessor'] = STUDENT['data_preprocessor']
    assert score_teacher(teacher_with(model=other), run())[0] != metrics


def test_the_second_time_it_comes_from_the_cache(run, teacher_with, forwards):
    first, _ = score_teacher(teacher_with(), run())
    second, seconds = score_teacher(teacher_with(), run())
    assert second == first and seconds == 0 and len(forwards) == 1
    assert list(second) == list(first)


def test_other_weights_are_scored_anew(run, teacher_with, forwards):
    score_teacher(teacher_with(1), run())
    score_teacher(teacher_with(2), run())
    assert len(forwards) == 2


def test_another_preprocessor_is_scored_anew(run, teacher_with, forwards):
    other = copy.deepcopy(TEACHER)
    other['data_preprocessor']['mean'] = [1., 1., 1.]
    score_teacher(teacher_with(), run())
    score_teacher(teacher_with(model=other), run())
    assert len(forwards) == 2


def test_classes_taken_by_name_are_scored_apart(run, teacher_with):
    # ClassLogits reorders a teacher's outputs and names them as they are then.
    teacher = teacher_with()
    before = cache_path(teacher, run())
    teacher.classes = ('box', 'bar')
    assert cache_path(teacher, run()) != before


def test_a_preprocessor_beside_the_model_counts_too(run, teacher_with):
    paths = []
    for mean in (0., 1.):
        teacher = teacher_with()
        teacher.cfg.data_preprocessor = dict(mean=[mean] * 3)
        paths.append(cache_path(teacher, run()))
    assert paths[0] != paths[1]


def test_other_annotations_are_scored_anew(run, teacher_with, forwards,
                                           data_root):
    path = os.path.join(data_root, 'instances.json')
    score_teacher(teacher_with(), run())
    with open(path) as file:
        kept = file.read()
    changed = json.loads(kept)
    changed['annotations'][0]['bbox'][0] += 1
    try:
        with open(path, 'w') as file:
            json.dump(changed, file)
        score_teacher(teacher_with(), run())
    finally:
        with open(path, 'w') as file:
            file.write(kept)
    assert len(forwards) == 2


def test_another_validation_pipeline_is_scored_anew(run, teacher_with):
    runner, other = run(), run(
        **{'val_dataloader.dataset.pipeline.2.scale': (32, 32)})
    teacher = teacher_with()
    assert cache_path(teacher, runner) != \
        cache_path(teacher, other)
    assert cache_path(teacher, runner) == \
        cache_path(teacher_with(), run())


def test_a_run_of_built_parts_is_scored_without_a_cache(
        run, teacher_with, forwards):
    expected, _ = score_teacher(teacher_with(), run())
    for _ in range(2):
        runner = copy.copy(run())
        runner._val_dataloader = runner.val_dataloader
        assert score_teacher(teacher_with(), runner)[0] == expected
    assert len(forwards) == 3


def test_random_numbers_of_the_run_are_left_as_they_were(run, teacher_with):
    teacher, runner = teacher_with(), run()
    states = (torch.get_rng_state(), random.getstate(),
              np.random.get_state()[1].copy())
    score_teacher(teacher, runner)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2])


def test_the_runs_own_loader_and_evaluator_are_not_touched(
        run, teacher_with, monkeypatch):
    runner = run()
    loop = runner.val_loop

    def forbidden(*_):
        raise AssertionError('the run\'s own loader was used')

    monkeypatch.setattr(
        type(loop.dataloader), '__iter__', lambda self: forbidden()
        if self is loop.dataloader else iter(self._get_iterator()))
    process, used = type(loop.evaluator).process, []

    def note(self, *args, **kwargs):
        used.append(self)
        process(self, *args, **kwargs)

    monkeypatch.setattr(type(loop.evaluator), 'process', note)
    score_teacher(teacher_with(), runner)
    assert loop.dataloader._iterator is None
    assert used and loop.evaluator not in used


def test_the_student_is_not_touched(run, teacher_with):
    runner = run()
    runner.model.train()
    before = copy.deepcopy(runner.model.state_dict())
    score_teacher(teacher_with(), runner)
    assert runner.model.training
    after = runner.model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_teacher_that_the_evaluator_cannot_score_is_told(run, teacher_with):
    runner = run(**{'val_evaluator.metric': ['bbox', 'segm']})
    with pytest.raises(
            ValueError,
            match='cannot score the teacher RetinaNet .*segm is not in .*'
            'teacher_score='):
        score_teacher(teacher_with(), runner)


def test_a_cache_that_cannot_be_written_does_not_end_the_run(
        run, teacher_with, tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('MMW2S_CACHE', str(tmp_path / 'file' / 'cache'))
    assert 'coco/bbox_mAP' in score_teacher(teacher_with(), run())[0]


class _Raises:
    """An evaluator whose end is an error."""

    def __init__(self, error, at='evaluate'):
        self.error, self.at = error, at
        self.metrics = []

    def process(self, **_):
        if self.at == 'process':
            raise self.error

    def evaluate(self, size):
        raise self.error


@pytest.mark.parametrize('error, said', [
    (KeyError('masks'), 'does the teacher predict all .*such as masks'),
    (OSError(28, 'No space left'), 'a file could not be read or written'),
    (TypeError('x'), r'\(TypeError: x\). If it fails for the student too'),
])
def test_what_an_evaluator_failed_at_is_said(run, teacher_with, monkeypatch,
                                             error, said):
    for at in ('process', 'evaluate'):
        monkeypatch.setattr(run().val_loop, 'evaluator', _Raises(error, at))
        with pytest.raises(ValueError, match=said) as caught:
            score_teacher(teacher_with(), run())
        assert isinstance(error, KeyError) == ('masks' in str(caught.value))


@pytest.mark.parametrize('error, world_size', [
    (torch.distributed.DistNetworkError('gone'), 1),
    (RuntimeError('[gloo/tcp/pair.cc:534] Connection closed by peer'), 2),
])
def test_a_lost_rank_is_not_told_as_a_lack_of_masks(run, teacher_with,
                                                    monkeypatch, error,
                                                    world_size):
    monkeypatch.setattr(run().val_loop, 'evaluator', _Raises(error))
    monkeypatch.setattr(module, 'get_world_size', lambda: world_size)
    with pytest.raises(RuntimeError, match='processes of the run lost each'):
        score_teacher(teacher_with(), run())


def test_metrics_are_checked_before_the_second_batch(run, teacher_with,
                                                     monkeypatch):
    teacher, batches = teacher_with(), []
    step = teacher.model.val_step
    monkeypatch.setattr(teacher.model, 'val_step',
                        lambda batch: batches.append(1) or step(batch))

    def check(names):
        assert names[0] == 'coco/bbox_mAP'
        raise ValueError('give the rule')

    with pytest.raises(ValueError, match='give the rule'):
        score_teacher(teacher, run(**{'val_dataloader.batch_size': 1}), check)
    assert len(batches) == 1


class _Renames(Evaluator):
    """As mmengine's and mmdet's evaluators of several data sets."""

    def evaluate(self, size):
        return {
            f'set/{name}': value
            for name, value in super().evaluate(size).items()
        }


def test_names_that_an_evaluator_makes_itself_are_not_guessed(
        run, teacher_with):
    runner, seen = copy.copy(run(**{'val_dataloader.batch_size': 1})), []
    runner._val_loop = copy.copy(runner.val_loop)  # others have them too
    runner.val_loop.evaluator = _Renames(runner.val_loop.evaluator.metrics)
    runner._val_dataloader = runner.val_dataloader  # so nothing is cached
    metrics, _ = score_teacher(teacher_with(), runner, seen.append)
    assert not seen and 'set/coco/bbox_mAP' in metrics


@METRICS.register_module()
class _WithFolder(CocoMetric):
    """As mmdet's panoptic, Cityscapes and MOT metrics."""

    def __init__(self, **fields):
        super().__init__(**fields)
        self.tmp_dir = tempfile.TemporaryDirectory()

    def __del__(self):
        self.tmp_dir.cleanup()


def test_the_folder_of_the_runs_own_evaluator_stays(run, teacher_with):
    runner = run(**{
        'val_evaluator.type': '_WithFolder',
        'val_dataloader.batch_size': 1
    })
    metric, = runner.val_loop.evaluator.metrics
    score_teacher(teacher_with(), runner)
    gc.collect()
    assert os.path.isdir(metric.tmp_dir.name)


def test_that_look_at_the_first_batch_changes_no_score(run, teacher_with):
    one, four = (
        score_teacher(teacher_with(), run(**{'val_dataloader.batch_size': n}))
        for n in (1, 4))
    assert one[0] == four[0]


def test_that_look_says_nothing_of_its_figures(run, teacher_with, capsys):
    runner = run(**{'val_dataloader.batch_size': 1, 'log_level': 'INFO'})
    MMLogger.get_instance('score', logger_name='score').info('enabled')
    score_teacher(teacher_with(), runner)
    assert capsys.readouterr().out.count('Evaluating bbox') == 1


def test_a_validation_set_without_ground_truth_gives_no_score(
        run, teacher_with, data_root):
    path = os.path.join(data_root, 'nothing.json')
    with open(os.path.join(data_root, 'instances.json')) as file:
        content = dict(json.load(file), annotations=[])
    with open(path, 'w') as file:
        json.dump(content, file)
    metrics, _ = score_teacher(teacher_with(),
                               run(**{'val_evaluator.ann_file': path}))
    assert metrics['coco/bbox_mAP'] is None


# -- what the kept score is of -------------------------------------------


def test_a_changed_image_is_scored_anew(run, teacher_with, data_root):
    teacher = teacher_with()
    before = cache_path(teacher, run())
    path = os.path.join(data_root, '0.png')
    state = os.stat(path)
    with open(path, 'rb') as file:
        content = file.read()
    try:
        with open(path, 'wb') as file:
            file.write(content[::-1])
        # As archives and copies set it back.
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        assert cache_path(teacher, run()) != before
    finally:
        with open(path, 'wb') as file:
            file.write(content)


def test_a_new_version_of_an_evaluator_is_scored_anew(run, teacher_with,
                                                      monkeypatch):
    teacher = teacher_with()
    before = cache_path(teacher, run())
    assert cache_path(teacher, run()) == before
    version = score_cache.metadata.version
    monkeypatch.setattr(
        score_cache.metadata, 'version', lambda name: '9.9'
        if name == 'pycocotools' else version(name))
    assert cache_path(teacher, run()) != before


def test_corrected_labels_in_xml_files_are_scored_anew(tmp_path, teacher_with):
    root = write_pictures(tmp_path, count=2)
    for name in ('Annotations', 'JPEGImages'):
        os.mkdir(tmp_path / name)
    (tmp_path / 'ids.txt').write_text('0\n1')
    paths = []
    for label in ('box', 'bar'):
        for i in range(2):
            os.replace(
                f'{root}/{"" if label == "box" else "JPEGImages/"}{i}.'
                f'{"png" if label == "box" else "jpg"}',
                f'{root}/JPEGImages/{i}.jpg')
            (tmp_path / 'Annotations' / f'{i}.xml').write_text(
                '<annotation><size><width>64</width><height>64</height>'
                f'</size><object><name>{label}</name><bndbox><xmin>9</xmin>'
                '<ymin>9</ymin><xmax>40</xmax><ymax>40</ymax></bndbox>'
                '</object></annotation>')
        cfg = run_config(root, tmp_path / 'run', model=STUDENT)
        cfg.val_dataloader.dataset.update(
            type='XMLDataset',
            ann_file='ids.txt',
            data_prefix=dict(sub_data_root=''))
        cfg.val_evaluator = dict(type='VOCMetric')
        cfg.experiment_name = label
        paths.append(cache_path(teacher_with(), Runner.from_cfg(cfg)))
    assert paths[0] != paths[1]


def test_its_weights_are_hashed_once_for_cache_and_record(
        run, teacher_with, monkeypatch):
    hashed, weights_hash = [], teacher_module.weights_hash
    monkeypatch.setattr(teacher_module, 'weights_hash',
                        lambda model: hashed.append(1) or weights_hash(model))
    teacher = teacher_with()
    assert cache_path(teacher, run()) is not None
    teacher.check_resumed([dict(teacher.fingerprint)])
    assert len(hashed) == 1


def test_images_moved_between_class_folders_are_scored_anew(
        tmp_path, run, teacher_with, monkeypatch):
    for name in 'ab':
        (tmp_path / name).mkdir()
        (tmp_path / name / f'{name}.png').write_bytes(b'x')

    teacher, runner = teacher_with(), run()

    def key():
        dataset = CustomDataset(data_root=str(tmp_path))
        with monkeypatch.context() as patch:
            patch.setattr(runner.val_loop, 'dataloader',
                          SimpleNamespace(dataset=dataset))
            return cache_path(teacher, runner)

    before = key()
    assert before is not None and key() == before
    os.rename(tmp_path / 'a' / 'a.png', tmp_path / 'b' / 'a.png')
    (tmp_path / 'a' / 'b.png').write_bytes(b'x')
    assert key() != before


def test_a_data_set_that_does_not_tell_what_it_loads_is_not_cached(
        run, teacher_with, monkeypatch):
    runner = run()
    monkeypatch.setattr(runner.val_loop, 'dataloader',
                        SimpleNamespace(dataset=[1, 2]))
    assert cache_path(teacher_with(), runner) is None
