# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os
import signal
import socket

import pytest

from mmw2s.records.lock import LOCK, has_ended, hold, holder, release


@pytest.fixture
def other(tmp_path):
    """Starts processes that hold the work_dir, and kills them."""
    pids = []

    def start():
        ready, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                hold(str(tmp_path))
                os.write(told, b'1')
                signal.pause()
            finally:
                os._exit(1)
        os.close(told)
        pids.append(pid)
        assert os.read(ready, 1) == b'1'  # nothing, if it could not hold it
        return pid

    def kill(pid):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        pids.remove(pid)

    yield start, kill
    for pid in list(pids):
        kill(pid)
    release(str(tmp_path))


def test_a_second_process_is_refused_by_the_name_of_the_first(other, tmp_path):
    start, _ = other
    pid = start()
    with pytest.raises(RuntimeError) as refused:
        hold(str(tmp_path))
    assert f'process {pid} on {socket.gethostname()}' in str(refused.value)
    assert str(tmp_path) in str(refused.value)


@pytest.mark.parametrize('content', ['', '{}', '[]', '{"pid": 1'])
def test_a_holder_that_has_not_written_yet_is_not_known(
        other, tmp_path, content):
    start, _ = other
    start()
    (tmp_path / LOCK).write_text(content)
    with pytest.raises(RuntimeError, match='its process is not known'):
        hold(str(tmp_path))


def test_what_was_killed_holds_nothing(other, tmp_path):
    start, kill = other
    kill(start())
    assert hold(str(tmp_path)) is None


def test_a_process_takes_its_own_again_and_gives_it_free(tmp_path, other):
    start, _ = other
    hold(str(tmp_path))
    hold(str(tmp_path / '.'))
    release(str(tmp_path))
    release(str(tmp_path))
    start()


def test_a_worker_of_a_process_does_not_keep_its_lock(tmp_path):
    hold(str(tmp_path))
    ready, told = os.pipe()
    worker = os.fork()
    if worker == 0:
        os.write(told, b'1')
        signal.pause()
    os.read(ready, 1)
    release(str(tmp_path))  # as the end of the process would
    second = os.fork()
    if second == 0:
        try:
            hold(str(tmp_path))
        except RuntimeError:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(second, 0)[1] == 0
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch):

    def flock(*_):
        raise OSError(95, 'Operation not supported')

    monkeypatch.setattr('mmw2s.records.lock.fcntl.flock', flock)
    assert 'no locks (Operation not supported)' in hold(str(tmp_path))
    assert (tmp_path / LOCK).exists()


def test_who_holds_it_is_told_without_taking_it(other, tmp_path):
    start, kill = other
    assert holder(str(tmp_path)) is None
    pid = start()
    assert f'process {pid} on' in holder(str(tmp_path))
    kill(pid)
    assert holder(str(tmp_path)) is None
    hold(str(tmp_path))


def test_a_killed_process_has_ended_and_a_living_one_has_not(other, tmp_path):
    start, kill = other
    assert not has_ended(str(tmp_path))
    pid = start()
    assert not has_ended(str(tmp_path))
    kill(pid)
    assert has_ended(str(tmp_path))
