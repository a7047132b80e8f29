# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / 'tools' / 'quickstart.sh'

# Stands for Python: notes what it is called with, and trains no one.
PYTHON = '''#!/usr/bin/env bash
echo "$@" >>calls
case "$*" in
*--no-distill*) exit ${BASELINE_ENDS_WITH:-0} ;;
*work_dirs/quickstart/teacher*)
    mkdir -p work_dirs/quickstart/teacher
    [[ -n ${TEACHER_ENDS_WITH:-} ]] && exit "$TEACHER_ENDS_WITH"
    sleep ${TEACHER_TAKES:-0}
    cd work_dirs/quickstart/teacher
    echo '"finished": true' >time_to_target.json ;;
*work_dirs/quickstart/w2s*)
    trap 'kill $!; echo cut short >>calls; exit' TERM
    sleep ${W2S_TAKES:-0} &
    wait $!
    echo to its end >>calls ;;
esac
'''


@pytest.fixture
def quickstart(tmp_path):
    """Calls the script in a checkout that is empty otherwise."""
    (tmp_path / 'tools').mkdir()
    shutil.copy(SCRIPT, tmp_path / 'tools')
    (tmp_path / 'tools' / 'setup_env.sh').write_text('')
    python = tmp_path / '.venv' / 'bin' / 'python'
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)

    def run(*argv, **env):
        return subprocess.run(['bash', 'tools/quickstart.sh', *argv],
                              cwd=str(tmp_path),
                              env={
                                  **os.environ,
                                  **env
                              },
                              stdout=subprocess.DEVNULL,
                              timeout=50).returncode

    return run


def test_the_report_comes_when_all_students_are_trained(quickstart, tmp_path):
    assert quickstart(TEACHER_TAKES='2') == 0
    calls = (tmp_path / 'calls').read_text().splitlines()
    trained = [
        call.split('work_dirs/quickstart/')[1].split()[0] for call in calls
        if 'tools/train.py' in call
    ]
    assert {*trained} == {
        'teacher', 'baseline', 'w2s', 'small_teacher', 'grown'
    }
    # Those with a teacher wait for it.
    assert trained.index('teacher') < trained.index('w2s')
    assert trained.index('small_teacher') < trained.index('grown')
    assert 'to its end' in calls
    assert calls[-1] == 'tools/quickstart.py work_dirs/quickstart'


def test_a_teacher_that_fails_ends_all(quickstart, tmp_path):
    assert quickstart(TEACHER_ENDS_WITH='4') == 4
    calls = (tmp_path / 'calls').read_text()
    assert 'quickstart/w2s' not in calls
    assert 'tools/quickstart.py' not in calls


def test_a_student_that_fails_ends_it_and_the_other_one(quickstart, tmp_path):
    assert quickstart(BASELINE_ENDS_WITH='3', W2S_TAKES='40') == 3
    calls, until = '', time.monotonic() + 45
    while ' short' not in calls and time.monotonic() < until:
        time.sleep(0.01)
        calls = (tmp_path / 'calls').read_text()
    assert 'cut short' in calls
    assert 'tools/quickstart.py' not in calls


@pytest.mark.parametrize('argv, status', [(['--help'], 0), (['--check'], 2),
                                          (['--stack', 'original'], 2)])
def test_other_options_train_nothing(quickstart, tmp_path, argv, status):
    assert quickstart(*argv) == status
    assert not (tmp_path / 'calls').exists()
