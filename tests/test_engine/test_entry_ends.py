# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Entries that end by themselves; whole runs with them are in test_hooks."""
from types import SimpleNamespace

import pytest

from mmw2s.distillation.schedules import Within
from mmw2s.distillation.stop_rules import At, StopRule
from mmw2s.engine.entry_ends import EntryEnds, asks_from


class WhenGood(StopRule):
    """A user's own: by the score, and asked in every iteration."""

    def after(self, row):
        return 'it is good' if row.get('score', 0) > .5 else None

    def at(self, iteration):
        return None


class Distiller:
    """What is asked of a distiller here."""

    def __init__(self, **terms):
        self.terms = [
            SimpleNamespace(
                key=key, **dict(dict(schedule=None, stop=None), **t))
            for key, t in terms.items()
        ]
        self.seen, self.schedule = [], SimpleNamespace(see=self.see)

    def see(self, row):
        self.seen.append(row['event'])

    def end(self, key):
        self.terms = [term for term in self.terms if term.key != key]


class Record:

    def __init__(self):
        self.rows = []

    def append(self, event, iteration, **fields):
        self.rows.append(dict(event=event, iter=iteration, **fields))


def bound(part):
    part.bind(max_iters=100, iters_per_epoch=10)
    return part


@pytest.fixture
def ends():
    distiller = Distiller(
        features=dict(schedule=bound(Within(end=2))),
        scores=dict(stop=bound(At(iter=30))),
        boxes=dict(stop=WhenGood()),
        whole={})
    return EntryEnds(distiller, Record())


def test_rules_of_a_fixed_point_are_asked_from_there_on():
    assert asks_from(bound(At(epoch=3))) == 30
    assert asks_from(WhenGood()) == 0


def test_an_entry_ends_at_the_end_of_its_schedule_or_by_its_rule(ends):
    assert ends.points() == [20, 30, 0]
    assert ends.due(19) == {}
    assert ends.due(20) == {'features': 'its schedule has reached 0'}
    assert set(ends.due(30)) == {'features', 'scores'}


def test_each_row_is_seen_once_and_an_end_is_written_down(ends):
    record, distiller = ends._record, ends._distiller
    record.append('validation', 10, score=.4)
    assert ends.decided() == {}
    record.append('validation', 20, score=.6)
    ended = ends.decided()
    assert ended == {'boxes': 'it is good'}
    assert distiller.seen == ['validation', 'validation']
    ends.end(ended, done=20, epoch=2.)
    assert record.rows[-1] == dict(
        event='entry_stop',
        iter=20,
        entry='boxes',
        epoch=2.,
        reason='it is good')
    assert 'boxes' not in [term.key for term in distiller.terms]


def test_a_resumed_run_ends_what_is_on_record_without_a_new_row(ends):
    record = ends._record
    record.append('validation', 20, score=.6)
    record.append('entry_stop', 20, entry='boxes', epoch=2., reason='by then')
    assert ends.decided() == {}
    assert len(record.rows) == 2
    assert 'boxes' not in [term.key for term in ends._distiller.terms]
