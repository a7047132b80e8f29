# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import base64
import gzip
import json
import re

import pytest

from mmw2s.report.html import (details, download, items, json_script, section,
                               table)
from mmw2s.report.summary import Cell

EVIL = '<script>"&'
SAFE = '&lt;script&gt;&quot;&amp;'


@pytest.mark.parametrize('made', [
    section('a', EVIL, 'x'),
    details(EVIL, 'x'),
    items([EVIL]),
    table(EVIL, [EVIL], [[EVIL, Cell(EVIL, EVIL)]]),
])
def test_text_is_no_markup(made):
    assert '<script' not in made and SAFE in made


def test_what_is_empty_has_no_heading():
    assert section('a', 'b', '', '') == details('a', '') == items([]) == ''


def test_a_table_names_its_rows_and_tells_what_to_sort_by():
    made = table('c', ['a', 'b'], [['x', '4 (3–5)'], ['y', 'never']], True)
    assert re.findall(r'<th scope="row">(\w)', made) == ['x', 'y']
    assert re.findall(r'data-key="(\S+)"', made) == ['4.0', '1e+300']
    assert 'data-sorts' not in table('c', ['a'], [['x']])


def test_data_ends_no_script_and_has_no_infinity():
    content = {'a': ['</script><!--', float('inf'), {'b': float('nan')}]}
    made = json_script('x', content)
    assert made.count('<') == 2
    inner = re.search('>(.*)<', made)[1]
    assert json.loads(inner) == {'a': ['</script><!--', None, {'b': None}]}


def test_a_download_is_inside_of_the_page():
    made = download('a.csv', 'x,ü', 'all')
    name, data = re.search('download="(.*?)" href="(.*?)"', made).groups()
    kind, _, content = data.partition(',')
    assert (name, kind) == ('a.csv', 'data:text/csv;base64')
    assert base64.b64decode(content).decode() == 'x,ü'


def test_a_large_download_is_compressed():
    made = download('a.json', '0' * 600_000, 'all')
    name, data = re.search('download="(.*?)" href="(.*?)"', made).groups()
    assert name == 'a.json.gz' and len(data) < 10_000
    assert len(gzip.decompress(base64.b64decode(
        data.partition(',')[2]))) == 600_000
