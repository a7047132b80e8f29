# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A page in one file, which a browser shows and reloads without a server."""
import os
import os.path as osp
import time
from html import escape
from typing import Iterator, Optional, Sequence

from mmw2s.utils.files import atomic_write
from .chart import Scale
from .progress import RunProgress
from .stage import Row
from .words import heading, left, place, score, targets, teacher

__all__ = ['Page']

#: Seconds after which a browser reads the page again.
RELOAD = 5
# A curve of more points is thinned out.
_POINTS = 150

_STYLE = '''
:root { color-scheme: light dark; --back: #f6f7f9; --card: #fff;
  --line: #d8dce2; --text: #1b1f24; --dim: #5b6470; --curve: #0969da;
  --teacher: #9a6700; --finished: #1a7f37; --failed: #cf222e;
  --stalled: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --back: #0d1117; --card: #161b22;
  --line: #30363d; --text: #e6edf3; --dim: #9da7b3; --curve: #58a6ff;
  --teacher: #d29922; --finished: #3fb950; --failed: #ff7b72;
  --stalled: #d29922; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 1rem; background: var(--back); color: var(--text);
  font: 15px/1.45 system-ui, sans-serif; }
header { margin-bottom: 1rem; }
h1 { font-size: 1.2rem; margin: 0; }
h2 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
p, ul { margin: .25rem 0; padding: 0; list-style: none; color: var(--dim);
  overflow-wrap: anywhere; }
main { display: grid; gap: 1rem; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); }
article { background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; padding: .75rem 1rem; }
article div { display: flex; justify-content: space-between; gap: 1rem; }
b { color: var(--curve); } .waiting b { color: var(--dim); }
.finished b { color: var(--finished); } .failed b { color: var(--failed); }
.stalled b { color: var(--stalled); } .problem { color: var(--failed); }
progress { width: 100%; height: .5rem; accent-color: var(--curve); }
svg { width: 100%; height: auto; display: block; font-size: 11px; }
svg text { fill: var(--dim); } .curve { fill: none; stroke: var(--curve);
  stroke-width: 2; } .dot { fill: var(--curve); }
.teacher { stroke: var(--teacher); stroke-dasharray: 5 4; }
.score { color: var(--curve); } .its-teacher { color: var(--teacher); }
.stop { stroke: var(--dim); stroke-dasharray: 1 3; }
.frame { fill: none; stroke: var(--line); }
'''


class Page:
    """Writes the rows to a page that reloads itself until it is closed.

    A reader sees the old page or the new one, never half of one.

    Args:
        path (str): Where the page goes. Its folder is created.
        title (str): Its title.
    """

    def __init__(self, path: str, title: str) -> None:
        self._path, self._title = path, title
        self._rows: Sequence[Row] = ()
        self._eta: Optional[float] = None
        self._written = -float('inf')
        os.makedirs(osp.dirname(osp.abspath(path)), exist_ok=True)

    def show(self, rows: Sequence[Row], eta: Optional[float] = None) -> None:
        """Write the page anew, as often as it is read at most."""
        self._rows, self._eta = rows, eta
        if time.monotonic() - self._written >= RELOAD:
            self._write(live=True)
            self._written = time.monotonic()

    def close(self) -> None:
        """Write the last page, which stays as it is."""
        self._write(live=False)

    def _write(self, live: bool) -> None:
        with atomic_write(self._path) as file:
            file.writelines(f'{line}\n' for line in self._lines(live))

    def _lines(self, live: bool) -> Iterator[str]:
        title = escape(self._title)
        now = time.strftime('%Y-%m-%d %H:%M:%S')
        yield '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">'
        yield '<meta name="viewport" content="width=device-width">'
        if live:
            yield f'<meta http-equiv="refresh" content="{RELOAD}">'
        yield f'<title>{title}</title>\n<style>{_STYLE}</style>'
        yield f'<header><h1>{title}</h1>'
        yield f'<p>{escape(heading(self._rows, self._eta))}</p>'
        yield f'<p>As of {now}{"" if live else ", no longer watched"}</p>'
        yield '</header>\n<main>'
        for row in self._rows:
            yield from _card(row)
        yield '</main>\n</html>'


def _card(row: Row) -> Iterator[str]:
    run = row.run
    yield f'<article class="{row.state}">'
    yield f'<div><h2>{escape(row.name)}</h2><b>{row.state}</b></div>'
    if run is None or row.state == 'waiting':
        yield f'<p>{left(row)}</p>'
    else:
        if run.share is not None:
            yield (f'<progress value="{run.share:.4f}" aria-label="share of '
                   'the run that is done"></progress>')
        yield f'<div><p>{escape(place(run))}</p><p>{left(row)}</p></div>'
        if run.curve:
            yield from _chart(run)
        told = [('score', score(run)), ('its-teacher', teacher(run)),
                *(('target', text) for text in targets(run))]
        if run.step_seconds is not None:
            told.append(('step', f'{run.step_seconds:.2g} s a step'))
        items = ''.join(f'<li class="{kind}">{escape(text)}</li>'
                        for kind, text in told if text)
        yield f'<ul>{items}</ul>'
    if run is not None and run.problem:
        yield f'<p class="problem">cannot be read: {escape(run.problem)}</p>'
    yield '</article>'


def _chart(run: RunProgress, width: int = 320, height: int = 130) -> \
        Iterator[str]:
    """The curve as SVG, with the teacher's score and the stop."""
    scale = Scale.of(run)
    top, right = 6, width - 44  # room for the numbers beside it
    tall = height - 2 * top

    def x(iteration: float) -> str:
        return f'{1 + scale.x(iteration) * (right - 2):.1f}'

    def y(value: float) -> str:
        return f'{top + (1 - scale.y(value)) * tall:.1f}'

    points = run.curve[::-(-len(run.curve) // _POINTS)] + run.curve[-1:]
    label = escape(f'{score(run)} {teacher(run)}', quote=True)
    yield (f'<svg viewBox="0 0 {width} {height}" role="img" '
           f'aria-label="{label}">')
    yield (f'<rect class="frame" x=".5" y=".5" width="{right - 1}" '
           f'height="{height - 1}"/>')
    if run.teacher is not None:
        yield (f'<line class="teacher" x1="1" x2="{right - 1}" '
               f'y1="{y(run.teacher)}" y2="{y(run.teacher)}"/>')
    if run.stop is not None:
        yield (f'<line class="stop" x1="{x(run.stop.iteration)}" '
               f'x2="{x(run.stop.iteration)}" y1="1" y2="{height - 1}"/>')
    path = ' '.join(f'{x(p.iteration)},{y(p.score)}' for p in points)
    yield f'<polyline class="curve" points="{path}"/>'
    last = run.curve[-1]
    yield (f'<circle class="dot" r="3" cx="{x(last.iteration)}" '
           f'cy="{y(last.score)}"/>')
    for value in {scale.low, scale.high}:
        yield (f'<text x="{right + 4}" y="{y(value)}" '
               f'dominant-baseline="middle">{value:.3g}</text>')
    yield '</svg>'
