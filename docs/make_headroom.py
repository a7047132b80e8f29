# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Draw head-room against what was gained, over all pairs in docs/results.

``python docs/make_headroom.py`` reads every ``report.json`` and
``settings.json`` below ``docs/results`` and writes
``docs/results/headroom.png``. It prints the numbers, and the pairs that are
left out because their file does not hold the teacher's own training.
"""
import json
import sys
from pathlib import Path
from typing import List, NamedTuple, Optional, Tuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmw2s.analysis import Comparison, compare

sys.path.insert(0, str(Path(__file__).resolve().parent))
from make_tables import RESULTS, comparisons  # noqa: E402

#: The targets, and their markers: shares of the baselines' best.
SHARES = {'80%': 'o', '90%': 's', '95%': '^'}
WITHOUT, WITH, GREY = '#0072B2', '#D55E00', '#606060'


class Pair(NamedTuple):
    """One setting of a pair of student and teacher.

    Attributes:
        name (str): Its folder, and its setting.
        head_room (float): See :func:`mmw2s.analysis.head_room.head_room`.
        gains (list): For each share of the baselines' best: its name, the
            speed-up in time, and that with the teacher's training added.
    """
    name: str
    head_room: float
    gains: List[Tuple[str, float, float]]


def pairs(folder: Path = RESULTS) -> Tuple[List[Pair], List[str]]:
    """All pairs below a folder, and the names of those without the data.

    A pair that two files hold is taken once.
    """
    found, lacking = [], []
    for path in sorted(folder.glob('*/*.json')):
        if path.name not in ('report.json', 'settings.json'):
            continue
        compared = comparisons(json.loads(path.read_text()))
        for setting, result in compared.items():
            name = path.parent.name
            if len(compared) > 1:
                name += f', {setting}'
            pair = read(name, result)
            if pair is None:
                lacking.append(name)
            elif not any(pair[1:] == other[1:] for other in found):
                found.append(pair)
    return found, lacking


def read(name: str, result: Comparison) -> Optional[Pair]:
    """A pair; None if head-room or gains cannot be told."""
    room = result.head_room()
    if room is None or room.bound:
        return None
    # Reports have targets of their own; here all pairs have the same.
    result = compare(
        result.baseline.runs,
        result.w2s.runs,
        result.teacher,
        list(SHARES),
        metric=result.metric,
        rule=result.rule)
    gains = []
    for share in SHARES:
        target = next(t for t in result.targets if f'({share} of' in t.label)
        ups = [
            result.speedup(target, room.unit, counted)
            for counted in (False, True)
        ]
        if all(up.value and not up.bound for up in ups):
            gains.append((share, *(up.value for up in ups)))
    return Pair(name, room.value, gains) if gains else None


def draw(found: List[Pair], path: Path) -> None:
    """The gains of each pair above its head-room."""
    figure = Figure(figsize=(8, 5.5), layout='constrained')
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    for share, marker in SHARES.items():
        for part, color, words in ((1, WITHOUT, 'alone'), (2, WITH,
                                                           'teacher counted')):
            points = [(pair.head_room, gain[part]) for pair in found
                      for gain in pair.gains if gain[0] == share]
            if points:
                ax.scatter(
                    *zip(*points),
                    color=color,
                    marker=marker,
                    alpha=.8,
                    label=f'to {share}, {words}')
    ax.axhline(1, color=GREY, linewidth=1)
    groups: List[List[Pair]] = []  # whose names would cover each other
    for pair in sorted(found, key=lambda pair: pair.head_room):
        if groups and pair.head_room - groups[-1][0].head_room < .2:
            groups[-1].append(pair)
        else:
            groups.append([pair])
    for near in groups:
        folders = dict.fromkeys(pair.name.split(',')[0] for pair in near)
        ax.annotate(
            '\n'.join(folders),
            (sum(pair.head_room for pair in near) / len(near),
             max(gain[1] for pair in near for gain in pair.gains)),
            xytext=(0, 6),
            textcoords='offset points',
            rotation=90,
            ha='center',
            fontsize=8,
            color=GREY)
    # Twice as fast is as far from 1 as half as fast.
    ax.set_yscale('log', base=2)
    ax.yaxis.set_major_formatter('{x:g}x')
    ax.margins(.1)
    ax.set_ylim(top=3 * ax.get_ylim()[1])  # for the names
    ax.set_xlabel("head-room: the student's cost of the teacher's score / "
                  "the teacher's")
    ax.set_ylabel('speed-up in training time (medians)')
    ax.spines[['top', 'right']].set_visible(False)
    figure.legend(
        loc='outside upper center', ncols=3, frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)


def main() -> None:
    found, lacking = pairs()
    for pair in sorted(found, key=lambda pair: pair.head_room):
        gains = ', '.join(f'{share}: {alone:.2f}x alone, {counted:.2f}x with '
                          'the teacher'
                          for share, alone, counted in pair.gains)
        print(f'{pair.name}: head-room {pair.head_room:.2f}; {gains}')
    print("Left out, for want of the teacher's own training: "
          f'{"; ".join(lacking)}')
    if not found:
        sys.exit('no pair has the data')
    draw(found, RESULTS / 'headroom.png')


if __name__ == '__main__':
    main()
