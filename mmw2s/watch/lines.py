# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Plain lines, where the output is no terminal: one for each new fact."""
import time
from typing import IO, Optional, Sequence, Set, Tuple

from .stage import Row
from .words import facts_of, summary

__all__ = ['PlainLines']


class PlainLines:
    """Prints what has happened since it was last shown.

    Of a row that it sees for the first time, it tells in one line how that
    stands.

    Args:
        file (IO): Where the lines go.
    """

    def __init__(self, file: IO) -> None:
        self._file = file
        self._seen: Set[str] = set()
        self._told: Set[Tuple[str, str]] = set()

    def show(self, rows: Sequence[Row], eta: Optional[float] = None) -> None:
        """Print what is new."""
        for row in rows:
            facts = [(row.name, fact) for fact in facts_of(row)]
            new = [fact for fact in facts if fact not in self._told]
            if row.name not in self._seen:
                self._seen.add(row.name)
                self._print(row.name, summary(row))
            else:
                for fact in new:
                    self._print(*fact)
            self._told.update(new)
        self._file.flush()

    def close(self) -> None:
        """Nothing is left to do."""

    def _print(self, name: str, text: str) -> None:
        print(f'{time.strftime("%H:%M:%S")} {name}: {text}', file=self._file)
