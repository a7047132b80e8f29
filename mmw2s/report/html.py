# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Pieces of the page, with all text escaped."""
import base64
import gzip
import json
import math
import re
from html import escape
from typing import Any, Iterable, Sequence

__all__ = ['details', 'download', 'items', 'json_script', 'section', 'table']

_LARGE = 500_000  # a file for download that is larger is compressed


def section(anchor: str, title: str, *parts: str) -> str:
    """A part of the page under a heading; nothing if it has no content."""
    inner = '\n'.join(part for part in parts if part)
    return inner and (f'<section aria-labelledby="{anchor}">\n'
                      f'<h2 id="{anchor}">{escape(title)}</h2>\n{inner}\n'
                      '</section>')


def details(title: str, inner: str) -> str:
    """What is folded away until it is asked for, and open on paper."""
    return inner and (f'<details><summary>{escape(title)}</summary>\n{inner}\n'
                      '</details>')


def items(texts: Iterable[str]) -> str:
    """A list of sentences."""
    inner = ''.join(f'<li>{escape(text)}</li>' for text in texts)
    return inner and f'<ul>{inner}</ul>'


def table(caption: str,
          header: Sequence[str],
          rows: Sequence[Sequence[Any]],
          sorts: bool = False) -> str:
    """A table; the first column names its rows.

    Args:
        caption (str): What it shows.
        header (Sequence[str]): Names of the columns.
        rows (Sequence[Sequence]): Cells: texts, or
            :class:`~.summary.Cell`.
        sorts (bool): Whether a click on a header sorts it. Defaults to False.
    """
    lines = [
        '<div class="wide" tabindex="0" role="region" '
        f'aria-label="{escape(caption)}"><table{" data-sorts" * sorts}>',
        f'<caption>{escape(caption)}</caption>', '<thead><tr>',
        *(f'<th scope="col">{escape(name)}</th>'
          for name in header), '</tr></thead><tbody>'
    ]
    for row in rows:
        cells = [_cell(cell, i == 0, sorts) for i, cell in enumerate(row)]
        lines.append(f'<tr>{"".join(cells)}</tr>')
    return '\n'.join([*lines, '</tbody></table></div>'])


def _cell(cell: Any, heads: bool, sorts: bool) -> str:
    text, more = (cell.text,
                  cell.more) if hasattr(cell, 'more') else (str(cell), '')
    inner = escape(text) + (f'<small>{escape(more)}</small>' if more else '')
    tag = 'th scope="row"' if heads else 'td'
    key = f' data-key="{_key(text)}"' if sorts and not heads else ''
    return f'<{tag}{key}>{inner}</{tag.split()[0]}>'


def _key(text: str) -> float:
    """What a cell is sorted by: its number; what never was is last."""
    number = re.match(r'-?\d+(\.\d+)?(e-?\d+)?', text)
    return float(number[0]) if number else 1e300


def json_script(name: str, content: Any) -> str:
    """Data for the page's code."""
    text = json.dumps(_finite(content), separators=(',', ':'))
    text = text.replace('<', '\\u003c')
    return f'<script type="application/json" id="{name}">{text}</script>'


def _finite(part: Any) -> Any:
    """JSON has no NaN and no infinity, which a browser refuses."""
    if isinstance(part, float) and not math.isfinite(part):
        return None
    if isinstance(part, dict):
        return {key: _finite(value) for key, value in part.items()}
    return [_finite(v) for v in part] if isinstance(part, list) else part


def download(name: str, text: str, what: str) -> str:
    """A link to a file that is inside the page."""
    data = text.encode('utf-8')
    kind = 'application/json' if name.endswith('.json') else 'text/csv'
    if len(data) > _LARGE:
        data, name, kind = gzip.compress(
            data, mtime=0), f'{name}.gz', 'application/gzip'
    size = f'{max(1, round(len(data) / 1000))} kB'
    link = f'data:{kind};base64,{base64.b64encode(data).decode()}'
    return (f'<li><a download="{escape(name)}" href="{link}">{escape(name)}'
            f'</a> <span>{escape(what)}, {size}</span></li>')
