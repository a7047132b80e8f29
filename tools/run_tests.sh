#!/usr/bin/env bash
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Sets everything up and runs the tests: bash tools/run_tests.sh [--active]
# [pytest arguments]. -m "not slow" leaves out what takes more than 10 s.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
setup=()
PY=$ROOT/.venv/bin/python
if [[ ${1-} == --active ]]; then
    shift
    setup=(--active)
    PY=${VIRTUAL_ENV:-${CONDA_PREFIX:-}}/bin/python
fi
bash "$ROOT/tools/setup_env.sh" "${setup[@]}"

cd "$ROOT"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} MPLBACKEND=Agg
exec "$PY" -m pytest "$@"
