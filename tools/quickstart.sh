#!/usr/bin/env bash
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Sets everything up and shows the main job on scenes of handwritten digits:
# trains a weak teacher, a student alone, the same student with the teacher, and
# one that grows out of a smaller, cheaper teacher. Tells how much sooner these
# two reached their targets.
#
#     bash tools/quickstart.sh [--active]
#
# --active: use the environment that is active instead of making .venv.
# Results lie in work_dirs/quickstart. A second call goes on where the first
# one was cut off; to start anew, move that folder away.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
case "$*" in
'' | --active) ;;
-h | --help) sed -n '3,13s/^# \{0,1\}//p' "$0" && exit ;;
*) echo "quickstart.sh: expected nothing or --active, but got: $*" >&2 && exit 2 ;;
esac
bash tools/setup_env.sh "$@"
PY=$ROOT/.venv/bin/python
if [[ " $* " == *' --active '* ]]; then
    PY=${VIRTUAL_ENV:-${CONDA_PREFIX:-}}/bin/python
fi

OUT=work_dirs/quickstart
CONFIGS=configs/detection/digits
STUDENT=$CONFIGS/w2s_retinanet_r50_digits.py
# One thread a run: on a machine that does anything else, a second one mostly
# waits (measured: 0.18 s a step with one thread, 0.3 to 7 s with two).
export OMP_NUM_THREADS=1 MPLBACKEND=Agg
precision=()  # used as ${x[@]+...}: bash before 4.4 calls empty ones unset
if "$PY" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    # mmcv has no bfloat16 kernels on a GPU, and float32 is fast enough there.
    precision=(--cfg-options optim_wrapper.type=OptimWrapper)
fi

is_done() { # NAME
    grep -qs '"finished": true' "$OUT/$1/time_to_target.json"
}

train() {  # NAME TITLE CONFIG [OPTION...]
    local name=$1 title=$2 training
    shift 2
    if is_done "$name"; then
        echo "[$name] done before, in $OUT/$name"
        return
    fi
    echo "[$name] $title: in $OUT/$name"
    "$PY" tools/train.py "$@" --work-dir "$OUT/$name" --resume auto \
        ${precision[@]+"${precision[@]}"} \
        > >(sed -u "s/^/[$name] /") 2>&1 &
    training=$!
    trap 'kill "$training" 2>/dev/null; exit 143' TERM
    wait "$training"
}

"$PY" tools/dataset_converters/digit_scenes.py data/digit_scenes

# Two runs at a time, each on a core of its own: half the wait, and all clocks
# under the same conditions.
jobs=()
trap 'kill "${jobs[@]}" 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM
(
    train teacher '1/5 weak teacher' "$CONFIGS/retinanet_r18_digits.py"
    train w2s '3/5 student with the weak teacher' "$STUDENT"
) &
jobs+=($!)
(
    train baseline '2/5 student alone' "$STUDENT" --no-distill
    train small_teacher '4/5 smaller teacher' "$CONFIGS/retinanet_r14_digits.py"
    train grown '5/5 student grown from it' "${STUDENT%.py}_grown.py"
) &
jobs+=($!)
# Whichever ends first, so that a failure is seen at once. The bash of macOS
# has no `wait -n`.
while ((${#jobs[@]})); do
    sleep 1
    for i in "${!jobs[@]}"; do
        if ! kill -0 "${jobs[i]}" 2>/dev/null; then
            wait "${jobs[i]}"
            unset "jobs[i]"
        fi
    done
done
trap - EXIT INT TERM
"$PY" tools/quickstart.py "$OUT"
