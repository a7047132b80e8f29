# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Entries of ``distill`` that end before the whole distillation."""
from typing import Dict, List, Mapping, Optional

from mmw2s.distillation.distiller import Distiller
from mmw2s.distillation.stop_rules import At, StopRule
from mmw2s.records.event_log import RunRecord

__all__ = ['EntryEnds', 'asks_from']

_EVENT = 'entry_stop'


def asks_from(stop: StopRule) -> Optional[int]:
    """The first iteration in which :meth:`StopRule.at` may stop.

    A user's own rule may want to be asked in every iteration.

    Args:
        stop (StopRule): The rule, bound to the run.

    Returns:
        int, optional: None if there is none.
    """
    plain = (StopRule.at, StopRule.ends_at), (At.at, At.ends_at)
    is_fixed = (type(stop).at, type(stop).ends_at) in plain
    return stop.ends_at() if is_fixed else 0


class EntryEnds:
    """Ends the entries that have a schedule or a stop rule of their own.

    It gives the rows of the record to these rules, and to the schedules that
    follow them. A resumed run gives them all rows again.

    Args:
        distiller (Distiller): The distiller.
        record (RunRecord): The record of the run.
    """

    def __init__(self, distiller: Distiller, record: RunRecord) -> None:
        self._distiller, self._record = distiller, record
        self._read = 0

    def points(self) -> List[int]:
        """Iterations from which on :meth:`due` may end an entry."""
        points: List[Optional[int]] = []
        for term in self._distiller.terms:
            if term.schedule is not None:
                points.append(term.schedule.zero_from())
            if term.stop is not None:
                points.append(asks_from(term.stop))
        return [point for point in points if point is not None]

    def due(self, iteration: int) -> Dict[str, str]:
        """Key of each entry that ends before an iteration -> the reason."""
        ended: Dict[str, str] = {}
        for term in self._distiller.terms:
            reason = term.stop and term.stop.at(iteration)
            zero_from = term.schedule and term.schedule.zero_from()
            if not reason and zero_from is not None and iteration >= zero_from:
                reason = 'its schedule has reached 0'
            if reason:
                ended[term.key] = reason
        return ended

    def decided(self) -> Dict[str, str]:
        """The same of the rows that this method has not seen yet.

        Entries whose end is on record already end without a new row.
        """
        ended: Dict[str, str] = {}
        while self._read < len(self._record.rows):
            row = self._record.rows[self._read]
            self._read += 1
            if row['event'] == _EVENT:
                self._distiller.end(row['entry'])
                ended.pop(row['entry'], None)
                continue
            self._distiller.schedule.see(row)
            for term in self._distiller.terms:
                if term.schedule is not None:
                    term.schedule.see(row)
                reason = term.stop and term.stop.after(row)
                if reason:
                    ended.setdefault(term.key, reason)
        return ended

    def end(self, ended: Mapping[str, str], done: int, epoch: float) -> None:
        """End entries for good, and write it down.

        Args:
            ended (Mapping[str, str]): Key of an entry -> the reason.
            done (int): Iterations that were complete when it was decided.
            epoch (float): The same in epochs.
        """
        for key, reason in ended.items():
            self._distiller.end(key)
            self._record.append(
                _EVENT, done, entry=key, epoch=epoch, reason=reason)
