# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import io

import pytest

from mmw2s.watch import LiveDisplay, RunProgress, Stage


class Terminal(io.StringIO):

    def isatty(self):
        return True


@pytest.fixture
def stages(grow):
    run = grow('a', teacher=.3).train(10).validate(.1)
    return [
        Stage('teacher', 'done'),
        Stage('student', 'running', str(run.folder)),
        Stage('report', 'waiting', None, 20.)
    ]


def test_in_a_file_there_are_plain_lines(stages, monkeypatch):
    monkeypatch.setenv('FORCE_COLOR', '1')
    file = io.StringIO()
    with LiveDisplay(file=file) as display:
        rows = display.update(stages, 600.)
        display.update(stages, 500.)
    assert [row.state for row in rows] == ['finished', 'running', 'waiting']
    assert '\x1b' not in file.getvalue()
    assert len(file.getvalue().splitlines()) == 3


def test_in_a_terminal_there_is_a_table_that_is_drawn_anew(
        stages, monkeypatch):
    monkeypatch.setenv('TERM', 'xterm')
    file = Terminal()
    with LiveDisplay('study', file=file) as display:
        display.update(stages, 600.)
        display.update(stages, 500.)
    text = file.getvalue()
    assert text.index('10 min left') < text.index('8 min 20 s left')
    assert '\x1b[1A' in text  # a line up
    assert text.endswith('\x1b[?25h')  # the cursor is back


def test_a_terminal_that_cannot_draw_gets_plain_lines(stages, monkeypatch):
    monkeypatch.setenv('TERM', 'dumb')
    file = Terminal()
    with LiveDisplay(file=file) as display:
        display.update(stages)
    assert '\x1b' not in file.getvalue()


def test_a_page_stays_behind_after_an_error(stages, tmp_path):
    path = tmp_path / 'page.html'
    with pytest.raises(KeyboardInterrupt):
        with LiveDisplay('study', str(path), io.StringIO()) as display:
            display.update(stages)
            assert 'refresh' in path.read_text()
            raise KeyboardInterrupt
    assert 'refresh' not in path.read_text()
    assert 'student' in path.read_text()


def test_files_are_read_again_only_if_they_have_changed(stages, monkeypatch):
    seen = []
    read = RunProgress.read.__func__
    monkeypatch.setattr(
        RunProgress, 'read',
        classmethod(lambda cls, path, earlier: seen.append(earlier) or read(
            cls, path, earlier)))
    with LiveDisplay(file=io.StringIO()) as display:
        first = display.update(stages)
        display.update(stages)
    assert seen == [None, first[1].run]
