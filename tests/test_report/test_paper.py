# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import re
import shutil
import subprocess

import pytest
from markdown_it import MarkdownIt

from mmw2s.analysis.table import Table
from mmw2s.report import (gather, make_report, write_figure, write_latex,
                          write_markdown)
from mmw2s.report.paper import escaped

ODD = r'a|b & 100 % of $5 #1_x {y} ~z^2 \n <p> [q] *r* `s` "t"'


@pytest.mark.parametrize('columns, width', [(1, 3.3), (2, 6.9)])
def test_a_pdf_is_as_wide_as_its_columns_with_its_fonts_inside(
        report, tmp_path, columns, width):
    path = tmp_path / 'curves.pdf'
    write_figure(report, str(path), columns)
    data = path.read_bytes()
    box = re.search(rb'/MediaBox \[ ?0 0 ([\d.]+)', data)[1]
    assert float(box) / 72 == pytest.approx(width)
    # TrueType as it is, and no outlines of type 3, which publishers refuse.
    assert b'/CIDFontType2' in data and b'/FontFile2' in data
    assert b'/Subtype /Type3' not in data


def test_an_svg_needs_no_font(report, tmp_path):
    path = tmp_path / 'curves.svg'
    write_figure(report, str(path), 1)
    text = path.read_text()
    assert '<text' not in text and text.count('<use') > 20


def test_a_figure_without_a_baseline_has_its_curves(write_run, tmp_path):
    report = make_report(gather([write_run('x', [.1, .2], teacher=.2)]))
    write_figure(report, str(tmp_path / 'a.pdf'), 2)
    assert (tmp_path / 'a.pdf').stat().st_size > 3000


@pytest.mark.parametrize('path, columns, message', [
    ('a.png', 2, 'vector graphics'),
    ('a.pdf', 3, '1 or 2 columns'),
])
def test_what_no_paper_takes_is_refused(report, path, columns, message,
                                        tmp_path):
    with pytest.raises(ValueError, match=message):
        write_figure(report, str(tmp_path / path), columns)


def odd_report(write_run):
    return make_report(
        gather([write_run('b', [.1, .5])],
               {ODD: [write_run('w', [.4, .5], teacher=.3)]}))


def test_latex_is_escaped(write_run, tmp_path):
    write_latex(odd_report(write_run), str(tmp_path / 't.tex'))
    text = (tmp_path / 't.tex').read_text()
    assert (r'a\textbar{}b \& 100 \% of \$5 \#1\_x \{y\} '
            r'\textasciitilde{}z\textasciicircum{}2 \textbackslash{}n '
            r"\textless{}p\textgreater{} [q] *r* `s` ''t''") in text
    columns = re.search(r'\\begin{tabular}{(l+)}', text)[1]
    rows = [x for x in text.splitlines() if x.endswith(r'\\')]
    assert {len(re.findall(r'(?<!\\)&', row)) + 1
            for row in rows} == {len(columns)}
    assert text.isascii()


def test_a_row_that_begins_with_a_bracket_is_no_option():
    text = Table('t', ['a'], [['x'], ['[2pt]'], ['*']]).to_latex()
    assert '{[2pt]}' in text and '{*}' in text


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which('pdflatex') is None, reason='there is no LaTeX')
@pytest.mark.parametrize('columns', [1, 2])
def test_latex_compiles_and_fits_into_its_columns(write_run, tmp_path,
                                                  columns):
    write_latex(odd_report(write_run), str(tmp_path / 't.tex'), columns)
    (tmp_path / 'x.tex').write_text(
        r'\documentclass[twocolumn]{article}\usepackage{booktabs,graphicx}'
        r'\begin{document}\input{t}\end{document}')
    subprocess.run(['pdflatex', '-interaction=nonstopmode', '-halt-on-error',
                    'x'], cwd=tmp_path, check=True)  # yapf: disable
    assert 'Overfull' not in (tmp_path / 'x.log').read_text()


def test_markdown_shows_a_name_as_it_is(write_run, tmp_path):
    write_markdown(odd_report(write_run), str(tmp_path / 't.md'))
    html = MarkdownIt().enable('table').render((tmp_path / 't.md').read_text())
    cells = re.findall('<td>(.*?)</td>', html)
    shown = cells[len(cells) // 2]
    assert shown == ODD.replace('&', '&amp;').replace('<', '&lt;').replace(
        '>', '&gt;').replace('"', '&quot;')


def test_an_underscore_inside_a_word_is_left_alone():
    assert escaped('bbox_mAP') == 'bbox_mAP'
    assert escaped('_x_') == r'\_x\_'
