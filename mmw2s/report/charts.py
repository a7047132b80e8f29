# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The charts of a report in Vega-Lite's grammar.

Colors are variables of the page's style, so that one chart serves light, dark
and paper. Which metric and axis are shown are parameters of the chart, so that
a switch on the page needs no second chart.
"""
from typing import Any, Dict, List, Sequence

from .chart_data import bar_rows, curve_rows, level_rows
from .content import Report
from .looks import looks

__all__ = ['bars', 'curves']

_DIM, _GRID, _BACK = 'var(--dim)', 'var(--grid)', 'var(--card)'
_X = 'datum[axis]'

Spec = Dict[str, Any]


def curves(report: Report) -> Spec:
    """Metric against cost: medians, bands, targets, teachers, switch-offs."""
    x = dict(
        field='x',
        type='quantitative',
        axis=dict(
            title=dict(signal='labels[axis]'), tickMinStep=_step(report)),
        scale=dict(domainMin=0, nice=False))
    y = dict(
        field='y',
        type='quantitative',
        axis=dict(title=None),
        scale=dict(zero=False))
    shown = [
        dict(filter='datum.m === metric && indexof(hidden, datum.g) < 0'),
        dict(calculate=_X, as_='x'),
        dict(filter='isValid(datum.x)')
    ]
    by = dict(detail=[dict(field='g'), dict(field='p')])
    points = dict(filter='!datum.off')
    tip = dict(
        signal=_tip(
            "datum.g", "labels[axis] + ' ' + format(datum.x, '~g')",
            "metric + ' ' + format(datum.y, '.4~g') + (datum.hi > datum.lo ? "
            "' (' + format(datum.lo, '.4~g') + '\u2013' + "
            "format(datum.hi, '.4~g') + ')' : '')"))
    every = dict(field='x', type='quantitative')
    lines = [
        _layer(
            dict(type='area', opacity=.16), [points],
            dict(
                by,
                x=every,
                y=dict(field='lo', type='quantitative'),
                y2=dict(field='hi'),
                fill=_color(report))),
        _layer(
            dict(type='line', strokeWidth=2.2, strokeJoin='round'), [points],
            dict(
                by,
                x=x,
                y=y,
                stroke=_color(report),
                strokeDash=_scaled(report, 'dash'))),
        # Few markers a line tell lines apart without color.
        _layer(
            dict(type='point', size=34, filled=True, opacity=1),
            [points, dict(filter='datum.mark')],
            dict(
                by,
                x=x,
                y=y,
                fill=_color(report),
                shape=_scaled(report, 'shape'))),
        _layer(
            dict(
                type='point',
                size=110,
                strokeWidth=2,
                shape='circle',
                fill=_BACK,
                opacity=1), [dict(filter='datum.off')],
            dict(x=x, y=y, stroke=_color(report))),
        _layer(
            dict(type='point', size=260, opacity=0, filled=True, tooltip=tip),
            [points], dict(x=x, y=y)),
    ]
    levels = dict(
        data=dict(values=level_rows(report)),
        transform=[dict(filter='datum.m === metric')],
        layer=[
            dict(
                mark=dict(type='rule', strokeWidth=1),
                encoding=dict(
                    y=y,
                    stroke=_either('teacher', 'var(--teacher)', _DIM),
                    strokeDash=_either('teacher', [6, 4], [1, 3]))),
            _layer(
                dict(
                    type='text',
                    align='left',
                    x='width',
                    dx=6,
                    fontSize=11,
                    fill=_DIM), [dict(filter="datum.kind === 'target'")],
                dict(y=y, text=dict(field='text'))),
            _layer(
                dict(
                    type='text',
                    align='left',
                    baseline='bottom',
                    dy=-4,
                    fontSize=11,
                    fill='var(--teacher)'),
                [dict(filter="datum.kind === 'teacher'")],
                dict(
                    y=y,
                    text=dict(field='text'),
                    x=dict(field='at', type='quantitative', scale=None))),
        ])
    return _chart(
        report,
        340,
        padding=dict(right=8, left=2, bottom=4, top=4),
        layer=[
            levels,
            dict(
                data=dict(values=_marked(curve_rows(report))),
                transform=shown,
                layer=lines)
        ])


def bars(report: Report) -> Spec:
    """What each group spent to reach each target."""
    names = [group.name for group in report.groups]
    x = dict(
        field='x',
        type='quantitative',
        axis=dict(
            title=dict(signal='labels[axis]'), tickMinStep=_step(report)),
        scale=dict(domainMin=0, nice=False))
    place = dict(
        y=dict(
            field='target',
            type='nominal',
            sort=None,
            axis=dict(
                title=None,
                ticks=False,
                domain=False,
                grid=False,
                labelPadding=8,
                labelLimit=120,
                labelFontSize=12),
            scale=dict(paddingInner=.28, paddingOuter=.1)),
        yOffset=dict(
            field='g', type='nominal', sort=names, scale=dict(domain=names)))
    bar = dict(type='bar', cornerRadiusEnd=2, strokeWidth=1.3)
    tip = dict(
        signal=_tip("datum.g", "metric + ' of ' + datum.target",
                    "labels[axis] + ' ' + datum[axis + ':t']",
                    "'reached by ' + datum.n"))
    layers = [
        _layer(
            dict(bar, tooltip=tip), [dict(filter='!datum.never')],
            dict(place, x=x, fill=_color(report))),
        _layer(
            dict(bar, fillOpacity=.12, strokeDash=[3, 3], tooltip=tip),
            [dict(filter='datum.never')],
            dict(place, x=x, fill=_color(report), stroke=_color(report))),
        _layer(
            dict(type='rule', strokeWidth=1.5, opacity=.75), [
                dict(filter="isValid(datum[axis + ':lo'])"),
                dict(calculate="datum[axis + ':lo']", as_='lo'),
                dict(calculate="datum[axis + ':hi']", as_='hi')
            ],
            dict(
                place,
                x=dict(field='lo', type='quantitative'),
                x2=dict(field='hi'),
                stroke=dict(value='var(--text)'))),
        _layer(
            dict(type='text', align='left', dx=6, fontSize=11), [
                dict(
                    calculate="isValid(datum[axis + ':hi']) ? "
                    "max(datum.x, datum[axis + ':hi']) : datum.x",
                    as_='end')
            ],
            dict(
                place,
                x=dict(field='end', type='quantitative'),
                text=dict(field='told'),
                fill=dict(value='var(--text)')))
    ]
    height = dict(step=19 if len(names) > 1 else 24)
    return _chart(
        report,
        height,
        padding=dict(right=8, left=14, bottom=4),
        **{
            'data':
            dict(values=bar_rows(report)),
            'transform': [
                dict(
                    filter='datum.m === metric && indexof(hidden, datum.g) < 0'
                ),
                dict(calculate=_X, as_='x'),
                dict(filter='isValid(datum.x)'),
                dict(
                    calculate="datum[axis + ':t'] + (width > 520 ? "
                    "'   ' + datum.g : '')",
                    as_='told')
            ],
            'layer':
            layers
        })


def _chart(report: Report,
           height: Any,
           padding: Any = 0,
           **parts: Any) -> Spec:
    labels = {axis.key: axis.label for axis in report.axes}
    quiet = dict(
        labelColor=_DIM,
        titleColor=_DIM,
        tickColor=_GRID,
        domainColor=_GRID,
        gridColor=_GRID,
        labelFontSize=12,
        titleFontSize=12,
        titleFontWeight=400,
        titlePadding=10,
        tickSize=4)
    return _keys({
        '$schema':
        'https://vega.github.io/schema/vega-lite/v6.json',
        'width':
        'container',
        'height':
        height,
        'padding':
        padding,
        'background':
        None,
        'autosize':
        dict(type='fit-x', contains='padding', resize=True),
        'params': [
            dict(name='axis', value=report.axes[0].key),
            dict(name='metric', value=report.metric),
            dict(name='hidden', value=[]),
            dict(name='labels', value=labels)
        ],
        'config':
        dict(
            font='system-ui, sans-serif',
            view=dict(stroke=None),
            aria=False,
            axisX=dict(quiet, grid=False, labelFlush=True),
            axisY=dict(quiet, domain=False, ticks=False, tickCount=5)),
        **parts
    })


def _layer(mark: Spec, transform: Sequence[Spec], encoding: Spec) -> Spec:
    return dict(mark=mark, transform=list(transform), encoding=encoding)


def _scaled(report: Report, part: str) -> Spec:
    """A channel of the groups' looks, without a legend: the page has one."""
    found = looks(report)
    return dict(
        field='g',
        type='nominal',
        legend=None,
        scale=dict(
            domain=list(found),
            range=[getattr(look, part) for look in found.values()]))


def _color(report: Report) -> Spec:
    return _scaled(report, 'color')


def _either(kind: str, value: Any, otherwise: Any) -> Spec:
    return dict(
        condition=dict(test=f"datum.kind === '{kind}'", value=value),
        value=otherwise)


def _tip(*lines: str) -> str:
    return ' + "\\n" + '.join(lines)


def _step(report: Report) -> Spec:
    """Epochs and iterations are counted in whole numbers."""
    return dict(signal="indexof(['epochs', 'iterations'], axis) < 0 ? 0 : 1")


def _marked(rows: List[Spec]) -> List[Spec]:
    """Mark about six points of each line."""
    lines: Dict[Any, List[Spec]] = {}
    for row in rows:
        if 'off' not in row:
            lines.setdefault((row['m'], row['g'], row['p']), []).append(row)
    for i, line in enumerate(lines.values()):
        step = max(1, len(line) // 6)
        for row in line[(i % 3) * step // 3::step]:
            row['mark'] = 1
    return rows


def _keys(part: Any) -> Any:
    """``as`` is no name in Python: ``as_`` stands for it."""
    if isinstance(part, dict):
        return {k.rstrip('_'): _keys(v) for k, v in part.items()}
    return [_keys(v) for v in part] if isinstance(part, list) else part
