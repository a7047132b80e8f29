# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from mmw2s.pair.display import PlainDisplay, Shown


def test_a_line_tells_each_beginning_validation_and_end(
        write_run, tmp_path, capsys):
    display, work_dir = PlainDisplay(), str(tmp_path / 'run')

    def lines(state, expected=None):
        display.show([Shown('teacher', state, work_dir, expected)])
        return capsys.readouterr().out.splitlines()

    assert lines('waiting') == []
    assert lines('running',
                 90.) == [f'teacher: begins in {work_dir}, about 90 s']
    write_run(work_dir, (.1, .2))
    assert lines('running') == [
        'teacher: epoch 1, iteration 10, coco/bbox_mAP 0.1, 12 s',
        'teacher: epoch 2, iteration 20, coco/bbox_mAP 0.2, 24 s'
    ]
    assert lines('running') == []
    write_run(work_dir, (.1, .2, .3))
    assert lines('done') == [
        'teacher: epoch 3, iteration 30, coco/bbox_mAP 0.3, 36 s',
        'teacher: done, 36 s'
    ]
    assert lines('done') == []


def test_what_an_earlier_call_has_done_is_told_in_one_line(
        write_run, tmp_path, capsys):
    work_dir = write_run(tmp_path / 'run', (.1, .2))
    PlainDisplay().show([Shown('teacher', 'done', work_dir)])
    PlainDisplay().show([Shown('teacher', 'running', work_dir)])
    assert capsys.readouterr().out.splitlines() == [
        'teacher: done before, 24 s', f'teacher: goes on in {work_dir}'
    ]


def test_a_failure_is_told(tmp_path, capsys):
    display = PlainDisplay()
    for state in ('running', 'failed'):
        display.show([Shown('teacher', state, str(tmp_path))])
    assert capsys.readouterr().out.splitlines()[-1] == 'teacher: failed'
