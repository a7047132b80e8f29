# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Shows stages of a piece of work while it goes on."""
import sys
from typing import IO, Dict, List, Optional, Sequence

from rich.console import Console

from .lines import PlainLines
from .page import Page
from .stage import Row, Stage
from .terminal import LiveTable

__all__ = ['LiveDisplay']


class LiveDisplay:
    """Shows stages and the runs that they train, until it is left.

    In a terminal that is a table; elsewhere, such as in a file, plain lines,
    one for each new fact. In both cases there may be a page for a browser too.
    It reads the files of the runs in :meth:`update`, and only those that have
    changed. It starts no thread.

    Args:
        title (str): What is shown. Defaults to 'mmw2s'.
        html (str, optional): Path of the page. Defaults to None: there is
            none.
        file (IO, optional): Where table or lines go. Defaults to None: the
            standard output.

    Examples:
        >>> with LiveDisplay('my study') as display:
        >>>     display.update([
        >>>         Stage('teacher', 'done', 'work_dirs/teacher'),
        >>>         Stage('student', 'running', 'work_dirs/student'),
        >>>         Stage('report', 'waiting', expected_seconds=20.)], 1200.)
    """

    def __init__(self,
                 title: str = 'mmw2s',
                 html: Optional[str] = None,
                 file: Optional[IO] = None) -> None:
        self._title, self._html, self._file = title, html, file
        self._earlier: Dict[Stage, Row] = {}

    def __enter__(self) -> 'LiveDisplay':
        file = self._file or sys.stdout
        console = Console(file=file)
        self._sinks: list = [Page(self._html, self._title)] \
            if self._html else []
        # Not `console.is_terminal`: some variables of the environment can say
        # so of a file.
        if file.isatty() and not console.is_dumb_terminal:
            self._sinks.append(LiveTable(console, self._title))
        else:
            self._sinks.append(PlainLines(file))
        return self

    def __exit__(self, *exc: object) -> None:
        for sink in self._sinks:
            sink.close()

    def update(self,
               stages: Sequence[Stage],
               eta: Optional[float] = None) -> List[Row]:
        """Read the files of the stages, and show how they stand.

        Args:
            stages (Sequence[Stage]): The stages, whose names differ.
            eta (float, optional): Seconds to the end of the whole. Defaults
                to None: told where it follows from the runs.

        Returns:
            list[Row]: What is shown.
        """
        rows = [
            Row.of(stage, self._earlier.get(stage.name)) for stage in stages
        ]
        self._earlier = {row.name: row for row in rows}
        for sink in self._sinks:
            sink.show(rows, eta)
        return rows
