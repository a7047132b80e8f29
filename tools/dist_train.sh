#!/usr/bin/env bash
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Trains with several processes on GPUs, or on CPU cores where there is none.
set -euo pipefail

if (($# < 2)); then
    echo "usage: [NNODES= NODE_RANK= MASTER_ADDR= PORT= PYTHON=]" \
        "bash tools/dist_train.sh CONFIG GPUS [arguments of train.py]" >&2
    exit 2
fi
exec bash "$(dirname "${BASH_SOURCE[0]}")/dist_run.sh" \
    "$2" train.py "$1" "${@:3}"
