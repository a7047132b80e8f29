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
CONFIG=$1
CHECKPOINT=$2
GPUS=$3
NNODES=${NNODES:-1}
PYTHON=${PYTHON:-python}
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [[ -z ${PORT:-} ]]; then
    # On one machine any free port does, and two runs do not collide.
    PORT=29500
    ((NNODES > 1)) || PORT=$("$PYTHON" -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
fi

PYTHONPATH="$HERE/..${PYTHONPATH:+:$PYTHONPATH}" exec \
    "$PYTHON" -m torch.distributed.run \
    --nnodes="$NNODES" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="$PORT" \
    --nproc_per_node="$GPUS" \
    "$HERE/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
