# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os

import pytest
import torch

from mmw2s.engine.checkpoints import find_resumable


@pytest.fixture
def work_dir(tmp_path):
    """A work_dir of three checkpoints, one second after the other."""
    for epoch in (1, 2, 3):
        write(tmp_path / f'epoch_{epoch}.pth', epoch)
    name(tmp_path, 'epoch_3.pth')
    return tmp_path


def write(path, at, **content):
    torch.save(
        dict(
            dict(
                state_dict=dict(w=torch.arange(1000.)),
                optimizer={},
                meta=dict(epoch=at, iter=at)), **content), path)
    os.utime(path, (at, at))


def name(work_dir, checkpoint):
    (work_dir / 'last_checkpoint').write_text(str(work_dir / checkpoint))


def cut(path, share=0.5):
    content = path.read_bytes()
    path.write_bytes(content[:int(share * len(content))])
    os.utime(path, (9, 9))


def test_where_all_is_whole_the_choice_is_left_to_mmengine(work_dir):
    assert find_resumable(str(work_dir)) is None
    name(work_dir, 'epoch_1.pth')  # of a run that was taken up earlier
    assert find_resumable(str(work_dir)) is None


def test_a_folder_without_checkpoints_has_none(tmp_path):
    assert find_resumable(str(tmp_path)) is None
    assert find_resumable(str(tmp_path / 'none')) is None


@pytest.mark.parametrize('text', ['', '\0' * 9, '/gone/epoch_3.pth', '/go'])
def test_a_pointer_that_was_cut_short_is_made_up_for(work_dir, text, capsys):
    (work_dir / 'last_checkpoint').write_text(text)
    assert find_resumable(str(work_dir)) == str(work_dir / 'epoch_3.pth')
    said = capsys.readouterr().out
    assert 'last_checkpoint' in said and 'epoch_3.pth, the newest' in said


def test_in_a_folder_that_was_copied_the_name_counts_not_the_age(
        work_dir, capsys):
    (work_dir / 'last_checkpoint').write_text('/elsewhere/epoch_3.pth')
    os.utime(work_dir / 'epoch_1.pth', (9, 9))  # copied last
    assert find_resumable(str(work_dir)) == str(work_dir / 'epoch_3.pth')
    assert 'epoch_3.pth, which has its name' in capsys.readouterr().out


def test_a_pointer_that_is_missing_is_made_up_for(work_dir):
    (work_dir / 'last_checkpoint').unlink()
    assert find_resumable(str(work_dir)) == str(work_dir / 'epoch_3.pth')


@pytest.mark.parametrize('share', [0., 0.5, 0.999])
def test_a_checkpoint_that_was_cut_short_falls_back(work_dir, share, capsys):
    cut(work_dir / 'epoch_3.pth', share)
    assert find_resumable(str(work_dir)) == str(work_dir / 'epoch_2.pth')
    assert 'epoch_3.pth, which is damaged' in capsys.readouterr().out


def test_the_pointer_is_older_than_a_checkpoint_that_was_cut(work_dir):
    name(work_dir, 'epoch_2.pth')
    cut(work_dir / 'epoch_3.pth')
    assert find_resumable(str(work_dir)) is None


def test_a_checkpoint_whose_bits_were_lost_falls_back(work_dir):
    content = bytearray((work_dir / 'epoch_3.pth').read_bytes())
    at = content.find(torch.arange(1000.).numpy().tobytes())
    content[at + 400:at + 800] = bytes(400)
    (work_dir / 'epoch_3.pth').write_bytes(content)
    torch.load(work_dir / 'epoch_3.pth')  # torch does not mind
    assert find_resumable(str(work_dir)) == str(work_dir / 'epoch_2.pth')


def test_the_best_weights_are_nothing_to_resume_from(work_dir):
    write(work_dir / 'best.pth', 9)
    torch.save(dict(state_dict={}, meta={}), work_dir / 'best.pth')
    (work_dir / 'last_checkpoint').write_text('')
    assert find_resumable(str(work_dir)) == str(work_dir / 'epoch_3.pth')


def test_a_run_killed_within_its_first_checkpoint_begins_anew(
        tmp_path, capsys):
    write(tmp_path / 'epoch_1.pth', 1)
    cut(tmp_path / 'epoch_1.pth')
    assert find_resumable(str(tmp_path)) is None
    assert 'the run begins anew' in capsys.readouterr().out


def test_where_none_is_whole_the_run_is_not_begun_anew(work_dir):
    for path in work_dir.glob('*.pth'):
        cut(path)
    with pytest.raises(ValueError, match='no checkpoint to resume from'):
        find_resumable(str(work_dir))
