# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import io
import logging

import pytest
import torch
from builders import build, save
from mmengine.config import Config
from mmengine.logging import MMLogger
from toys import retinanet

from mmw2s.cli import main

HEAD = 'bbox_head.retina_cls.weight'


@pytest.fixture
def files(tmp_path):
    """Configs of teacher and student, and the teacher's weights."""
    for name, depth in (('weak', 18), ('strong', 50)):
        Config(dict(default_scope='mmdet',
                    model=retinanet(depth))).dump(tmp_path / f'{name}.py')
    save(build(retinanet(18), seed=1), tmp_path / 'weak.pth')
    return [
        str(tmp_path / name)
        for name in ('weak.py', 'weak.pth', 'strong.py', 'out.pth')
    ]


def weights(path):
    return torch.load(path, weights_only=True)['state_dict']


def test_the_checkpoint_has_the_teachers_head(files, capsys):
    main(['start-from', *files])
    given, written = weights(files[1]), weights(files[3])
    assert torch.equal(written[HEAD], given[HEAD])
    build(retinanet(50)).load_state_dict(written)
    assert 'out.pth: ' in capsys.readouterr().out


def test_modules_can_be_named_and_classes_be_others(files, capsys):
    main(['start-from', *files, '--modules', 'bbox_head', '--other-classes'])
    given, written = weights(files[1]), weights(files[3])
    assert not torch.equal(written[HEAD], given[HEAD])
    assert torch.equal(written['bbox_head.retina_reg.weight'],
                       given['bbox_head.retina_reg.weight'])
    assert not torch.equal(written['backbone.conv1.weight'],
                           given['backbone.conv1.weight'])


def test_classes_are_matched_by_name_where_both_are_named(files, capsys):
    for path, names in ((files[0], ('box', 'bar')), (files[2], ('cat',
                                                                'Box'))):
        cfg = Config.fromfile(path)
        cfg.train_dataloader = dict(
            dataset=dict(type='CocoDataset', metainfo=dict(classes=names)))
        cfg.dump(path)
    main(['start-from', *files])
    given, written = (
        weights(files[i])[HEAD].unflatten(0, (3, 2)) for i in (1, 3))
    assert torch.equal(written[:, 1], given[:, 0])
    assert not torch.equal(written[:, 0], given[:, 0])
    assert 'rows of the 1 class that both know' in capsys.readouterr().out


def test_the_initialization_of_each_tensor_is_not_printed(files):
    logger, said = MMLogger.get_current_instance(), io.StringIO()
    handler, level = logging.StreamHandler(said), logger.level
    logger.addHandler(handler)
    try:
        main(['start-from', *files])
    finally:
        logger.removeHandler(handler)
    assert 'torch.Size' not in said.getvalue()
    assert logger.level == level


def test_two_runs_write_the_same(files):
    main(['start-from', *files])
    first = weights(files[3])
    main(['start-from', *files])
    second = weights(files[3])
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_what_is_wrong_is_told_in_a_line(files):
    with pytest.raises(SystemExit, match='error: .*no module "nek"'):
        main(['start-from', *files, '--modules', 'nek'])


def test_the_whole_teacher_can_be_grown(files, tmp_path, capsys):
    Config(dict(default_scope='mmdet',
                model=retinanet(34))).dump(tmp_path / 'strong.py')
    main(['start-from', *files, '--type', 'Grow'])
    given, written = weights(files[1]), weights(files[3])
    assert all(torch.equal(written[name], w) for name, w in given.items())
    assert written['backbone.layer1.2.bn2.weight'].abs().max() == 0
    assert 'they are new, and without effect' in capsys.readouterr().out


def test_a_corner_can_be_taken(files):
    main(['start-from', *files, '--type', 'Corner'])
    given, written = weights(files[1]), weights(files[3])
    name = 'neck.lateral_convs.0.conv.weight'
    width = given[name].shape[1]
    assert torch.equal(written[name][:, :width], given[name])


def test_what_does_not_fit_the_type_is_told_in_a_line(files):
    with pytest.raises(SystemExit, match='error: Corner has no field "mod'):
        main(['start-from', *files, '--type', 'Corner', '--modules', 'neck'])
    with pytest.raises(SystemExit, match='error: start=Grow: .*BasicBlock'):
        main(['start-from', *files, '--type', 'Grow'])
