# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The result of a benchmark of training steps, as tables and as JSON."""
import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

__all__ = ['Spread', 'StepCost', 'option_mode']

BASELINE = 'baseline'
FLOOR = 'baseline + teacher forward'
ON = 'distillation on'
AGAIN = 'baseline, again'
OFF = 'after the stop'
#: Only where the config of the teacher's own training is given.
TEACHER = "teacher's own training"

#: Ratios that are reported: name -> (mode, mode that it is divided by, goal).
RATIOS = {
    'baseline + teacher forward / baseline': (FLOOR, BASELINE, ''),
    'distillation on / baseline + teacher forward': (ON, FLOOR, '<= 1.02'),
    'distillation on / baseline': (ON, BASELINE, ''),
    'after the stop / baseline, again': (OFF, AGAIN, '1.00'),
    f'{TEACHER} / baseline, again': (TEACHER, AGAIN, ''),
}


def option_mode(options: Mapping[str, Any]) -> str:
    """The mode of a distilling run with other fields of its teacher."""
    told = ' '.join(f'{key}={value}' for key, value in options.items())
    return f'{_WITH}{told}'


_WITH = f'{ON}, '


class Spread(NamedTuple):
    """Median and quartiles of some values."""
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values) -> 'Spread':
        low, median, high = np.percentile(values, (25, 50, 75)).tolist()
        return cls(median, low, high)


@dataclass
class StepCost:
    """The measurements of :func:`mmw2s.profiling.benchmark.benchmark`.

    Args:
        ms (dict[str, list[float]]): Mode -> milliseconds of a step, one value
            a round. In a round all modes of a phase train on the same batch.
        peak_mib (dict[str, float]): Mode -> peak memory in MiB of the tensors
            of that run alone.
        teacher_parts (int): Number of the teacher's modules, weights, buffers
            and activations.
        teacher_parts_left (int): How many of them are still in memory after
            the stop. Should be 0.
        facts (dict): Hardware, versions and batches.
        gmacs (dict[str, float]): Mode -> multiply-adds of a step, in units of
            10**9, for the modes of the first phase. Defaults to none.
    """
    ms: Dict[str, List[float]]
    peak_mib: Dict[str, float]
    teacher_parts: int
    teacher_parts_left: int
    facts: dict
    gmacs: Dict[str, float] = field(default_factory=dict)

    def ratio(self, mode: str, of: str) -> Spread:
        """Time of a step in one mode divided by the time in another.

        The two times of a round are divided by each other before the median
        is taken. A slow moment of the machine slows both, so it cancels out.

        Args:
            mode (str): The numerator's mode.
            of (str): The denominator's mode.
        """
        return Spread.of(np.divide(self.ms[mode], self.ms[of]))

    @property
    def ratios(self) -> Dict[str, tuple]:
        """Those of :data:`RATIOS` whose modes were measured, and options."""
        known = dict(RATIOS)
        for mode in self.ms:
            if mode.startswith(_WITH):
                known[f'{mode} / {BASELINE}'] = (mode, BASELINE, '')
        return {
            name: row
            for name, row in known.items() if {*row[:2]} <= {*self.ms}
        }

    def net_speedup(self, speedup: float, share: float) -> float:
        """The speed-up in time of a speed-up in epochs, S / (1 + f * o).

        A run with a teacher needs fewer epochs, but its steps are longer while
        the distillation is on. With o = 0.3, a step takes 1.3 times as long.

        Args:
            speedup (float): S: epochs to the target without a teacher, divided
                by epochs to the target with one.
            share (float): f: the share of the epochs to the target in which
                the distillation is on, from 0 to 1.

        Returns:
            float: Time to the target without a teacher, divided by the time
            with one.
        """
        extra = self.ratio(ON, BASELINE).median - 1
        return speedup / (1 + share * extra)

    def to_json(self) -> str:
        """All measurements, medians and quartiles as a JSON text."""
        modes = {mode: Spread.of(ms)._asdict() for mode, ms in self.ms.items()}
        for mode, summary in modes.items():
            summary.update(
                peak_mib=self.peak_mib[mode],
                gmacs=self.gmacs.get(mode),
                ms=self.ms[mode])
        return json.dumps(
            dict(
                modes=modes,
                ratios={
                    name: self.ratio(*pair)._asdict()
                    for name, (*pair, _) in self.ratios.items()
                },
                teacher_parts=self.teacher_parts,
                teacher_parts_left=self.teacher_parts_left,
                facts=self.facts),
            indent=1)

    def print(self, console: Optional[Console] = None) -> None:
        """Print a table of the modes, of the ratios and of net speed-ups.

        Args:
            console (Console, optional): Where to print. Defaults to None, the
                terminal.
        """
        console = console or Console()
        steps = len(self.ms[BASELINE])
        modes = _table(f'Milliseconds a training step ({steps} rounds)',
                       'mode', 'median', 'quartiles', 'peak memory',
                       'multiply-adds')
        for mode, ms in self.ms.items():
            if mode == AGAIN:
                modes.add_section()
            spread, gmacs = Spread.of(ms), self.gmacs.get(mode)
            modes.add_row(
                mode, f'{spread.median:.1f}',
                f'{spread.low:.1f} - {spread.high:.1f}',
                f'{self.peak_mib[mode]:.0f} MiB',
                '' if gmacs is None else f'{gmacs:.3g} G')
        ratios = _table('Ratios, round by round', '', 'median', 'quartiles',
                        'goal')
        for name, (*pair, goal) in self.ratios.items():
            ratio = self.ratio(*pair)
            ratios.add_row(name, f'{ratio.median:.3f}',
                           f'{ratio.low:.3f} - {ratio.high:.3f}', goal)
        shares = (0.25, 0.5, 1.)
        net = _table(
            'A speed-up in epochs, in wall clock: S / (1 + f * o), on for a '
            'share f of the way to the target', 'S',
            *(f'f = {s:.0%}' for s in shares))
        for speedup in (1.25, 1.5, 2., 3.):
            net.add_row(
                f'{speedup:g}x',
                *(f'{self.net_speedup(speedup, s):.2f}x' for s in shares))
        for table in (modes, ratios, net):
            console.print(table)
        console.print(f'{self.teacher_parts_left} of {self.teacher_parts} '
                      'modules and tensors of the teacher are in memory after '
                      'the stop.')


def _table(title: str, *columns: str) -> Table:
    return Table(
        *columns,
        title=title,
        title_justify='left',
        min_width=76,
        box=box.SIMPLE_HEAD)
