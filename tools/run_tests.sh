#!/usr/bin/env bash
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Sets everything up and runs the tests: bash tools/run_tests.sh [--active |
# --stack original] [pytest arguments]. -m "not slow" leaves out what takes
# more than 10 s; --stack original is the suite on OpenMMLab's own releases.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
setup=()
PY=$ROOT/.venv/bin/python
if [[ ${1-} == --active ]]; then
    shift
    setup=(--active)
    PY=${VIRTUAL_ENV:-${CONDA_PREFIX:-}}/bin/python
elif [[ ${1-} == --stack ]]; then
    setup=(--stack "${2-}")
    if [[ ${2-} == original ]]; then
        PY=$ROOT/.venv-original/bin/python
        # mmengine 0.10 reads its own checkpoints as torch < 2.6 did.
        export TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1
    fi
    shift $(($# > 1 ? 2 : 1))
fi
bash "$ROOT/tools/setup_env.sh" ${setup[@]+"${setup[@]}"}

cd "$ROOT"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} MPLBACKEND=Agg
# A few files at a time; -n 0 in the arguments takes one after another.
exec "$PY" -m pytest -n logical --maxprocesses 4 --dist loadfile "$@"
