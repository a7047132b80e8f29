#!/usr/bin/env bash
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# What dist_train.sh and dist_test.sh have in common: starts a script of this
# folder in several processes.
#
#     dist_run.sh GPUS SCRIPT [arguments of the script]
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [[ -z ${PORT:-} ]] && ((${NNODES:-1} == 1)); then
    # Any free port, so that two runs do not collide. Without the address it
    # would have to be found out from the machine's name.
    rendezvous=(--standalone --local_addr=127.0.0.1)
else
    rendezvous=(--nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}"
        --master_addr="${MASTER_ADDR:-127.0.0.1}"
        --master_port="${PORT:-29500}")
fi

PYTHONPATH="$HERE/..${PYTHONPATH:+:$PYTHONPATH}" exec \
    "${PYTHON:-python}" -m torch.distributed.run "${rendezvous[@]}" \
    --nproc_per_node="$1" "$HERE/$2" "${@:3}" --launcher pytorch
