# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import json

import pytest
import recorded

from mmw2s.cli import main
from mmw2s.report import vega
from mmw2s.utils.flat import flat


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recorded.write_run(tmp_path / 'base', [.1, .3])
    recorded.write_run(tmp_path / 'w2s', [.3, .3], teacher=.2)
    recorded.write_run(tmp_path / 'teacher', [.2])
    return tmp_path


def test_all_that_is_asked_for_is_written(runs, monkeypatch, capsys):
    pytest.importorskip('vl_convert')
    monkeypatch.setattr(vega, 'code', lambda: '')
    main([
        'report', 'base', '--setting', 'a b', 'w2s', '--teacher', 'teacher',
        '--target', '0.3', '--out', 'out/page.html', '--figure', 'out/c.pdf',
        '--columns', '1', '--latex', 'out/t.tex', '--markdown', 'out/t.md'
    ])
    assert 'Written: out/page.html, out/c.pdf, out/t.tex, out/t.md.' in \
        capsys.readouterr().out
    page = (runs / 'out' / 'page.html').read_text()
    assert 'the target of 0.3 in 1 epoch instead of 2' in page
    assert 'mmw2s report base --setting &#x27;a b&#x27; w2s' in page
    assert '| a b | 1 |' in (runs / 'out' / 't.md').read_text()


@pytest.mark.parametrize('options, message', [
    (['--setting', 'a'], 'names no run'),
    (['--setting', 'a', 'w2s', '--setting', 'a', 'w2s'], 'given twice'),
    (['--teacher', 'teacher', '--teacher', 'teacher'], 'given twice'),
    (['--margin', '-1'], '--margin'),
    (['--metric', 'fid'], 'no metric "fid"'),
    (['--target', 'x'], 'a target should be a number'),
    (['--figure', 'a.png'], 'vector graphics'),
])
def test_what_is_wrong_is_told_in_a_line(runs, options, message):
    with pytest.raises(SystemExit, match=f'^mmw2s report: error: .*{message}'):
        main(['report', 'base', *options])


@pytest.mark.parametrize('options,rule,targets', [
    ([], 'less', ['0.2']),
    (['--metric', 'fid'], 'less', ['0.2']),
    (['--metric', 'coco/bbox_mAP'], None, None),
])
def test_what_a_study_has_fixed_is_of_its_own_metric(runs, monkeypatch,
                                                     options, rule, targets):
    fixed = flat('study', dict(metric='fid', rule='less', targets=[.2]))
    (runs / 'study.json').write_text(json.dumps(dict(fixed=fixed)))
    seen = []

    def make_report(material, title, *asked):
        seen.append(asked)
        raise ValueError

    monkeypatch.setattr('mmw2s.report.make_report', make_report)
    with pytest.raises(SystemExit):
        main(['report', str(runs), *options])
    assert seen[0][0] == targets and seen[0][2] == rule
