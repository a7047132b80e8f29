# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import runpy
from pathlib import Path

import pytest

TEST = str(Path(__file__).parents[2] / 'tools' / 'test.py')


@pytest.fixture
def tool():
    names = runpy.run_path(TEST)

    def prepare(*argv):
        return names['prepare_config'](names['parse_args'](list(argv)))

    return prepare


@pytest.fixture
def files(tmp_path):
    config, checkpoint = tmp_path / 'toy.py', tmp_path / 'epoch_1.pth'
    config.write_text('resume = True')
    checkpoint.write_bytes(b'')
    return str(config), str(checkpoint)


def test_the_checkpoint_is_loaded_and_not_resumed(tool, files):
    cfg = tool(*files)
    assert cfg.load_from == files[1]
    assert cfg.resume is False
    assert cfg.work_dir == './work_dirs/toy'


def test_a_missing_checkpoint_is_refused(tool, files):
    with pytest.raises(FileNotFoundError, match='none.pth'):
        tool(files[0], 'none.pth')


def test_a_url_is_left_to_the_loader(tool, files):
    assert tool(files[0], 'https://x/y.pth').load_from == 'https://x/y.pth'


def test_predictions_go_to_a_pickle_only(tool, files, capsys):
    with pytest.raises(SystemExit):
        tool(*files, '--out', 'a.json')
    assert 'should end with .pkl' in capsys.readouterr().err
