#!/usr/bin/env bash
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Tests with several processes on GPUs, or on CPU cores where there is none.
set -euo pipefail

if (($# < 3)); then
    echo "usage: [NNODES= NODE_RANK= MASTER_ADDR= PORT= PYTHON=]" \
        "bash tools/dist_test.sh CONFIG CHECKPOINT GPUS" \
        "[arguments of test.py]" >&2
    exit 2
fi
exec bash "$(dirname "${BASH_SOURCE[0]}")/dist_run.sh" \
    "$3" test.py "$1" "$2" "${@:4}"
