# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Vega, which draws the charts: in the page by its own code, and here."""
import hashlib
import json
import os
import re
from typing import Any, Dict

from mmw2s.utils.cache import kept_at
from mmw2s.utils.files import atomic_write

__all__ = ['code', 'compiled', 'picture']

_GRAMMAR = '6.1'
_WANTED = 'window.vegaEmbed = vegaEmbed;'


def _converter():
    try:
        import vl_convert
    except ImportError:
        raise ImportError(
            'the page of a report needs vl-convert-python, which brings Vega: '
            'pip install "mmw2s[report]". (--figure, --latex and --markdown '
            'do not need it)') from None
    return vl_convert


def code() -> str:
    """Vega as JavaScript that defines ``window.vegaEmbed``.

    Putting it together takes some seconds, so it is kept in the cache.
    """
    converter = _converter()
    digest = hashlib.sha256(f'{converter.__version__} {_WANTED}'.encode())
    path = kept_at('vega', digest, 'js')
    if os.path.isfile(path):
        with open(path, encoding='utf-8') as file:
            return file.read()
    text = converter.javascript_bundle(_WANTED)
    # It stands inside a <script> element, which this would end.
    text = text.replace('</script', '<\\/script')
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with atomic_write(path) as file:
        file.write(text)
    return text


def compiled(chart: Dict[str, Any]) -> Dict[str, Any]:
    """A chart in Vega's own grammar, which the page's code reads."""
    return _converter().vegalite_to_vega(chart, vl_version=_GRAMMAR)


def picture(chart: Dict[str, Any], name: str, width: int = 960) -> str:
    """A chart as SVG that grows and shrinks with the page.

    Args:
        chart (dict): A chart of Vega-Lite.
        name (str): Its name, for parts that refer to each other: those of two
            pictures on one page must not be mixed up.
        width (int): The width that it is laid out for. Defaults to 960.
    """
    text = _converter().vegalite_to_svg(
        json.loads(json.dumps({
            **chart, 'width': width
        })), vl_version=_GRAMMAR)
    # The page's style gives the size; the names of parts are for no reader.
    text = re.sub(
        r'^<svg [^>]*?width="([\d.]+)" height="([\d.]+)"[^>]*>',
        r'<svg viewBox="0 0 \1 \2" aria-hidden="true" '
        r'xmlns="http://www.w3.org/2000/svg">', text)
    text = re.sub(r'(\bid="|url\(#)', rf'\g<1>{name}-', text)
    return re.sub(r' aria-(?!hidden="true" xmlns)[a-z]+="[^"]*"', '', text)
