#!/usr/bin/env bash
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Sets everything up and shows the main job on scenes of handwritten digits:
# trains a weak teacher, a student alone and the same student with the teacher,
# from scratch, and tells how much sooner the second one reached its targets.
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
-h | --help) sed -n '3,12s/^# \{0,1\}//p' "$0" && exit ;;
*) echo "quickstart.sh: expected nothing or --active, but got: $*" >&2 && exit 2 ;;
esac
bash tools/setup_env.sh "$@"
PY=$ROOT/.venv/bin/python
if [[ " $* " == *' --active '* ]]; then
    PY=${VIRTUAL_ENV:-${CONDA_PREFIX:-}}/bin/python
fi

OUT=work_dirs/quickstart
STUDENT=configs/detection/digits/w2s_retinanet_r50_digits.py
TEACHER=configs/detection/digits/retinanet_r18_digits.py
# One thread a run: on a machine that does anything else, a second one mostly
# waits (measured: 0.18 s a step with one thread, 0.3 to 7 s with two).
export OMP_NUM_THREADS=1 MPLBACKEND=Agg
precision=()  # used as ${x[@]+...}: bash before 4.4 calls empty ones unset
if "$PY" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    # mmcv has no bfloat16 kernels on a GPU, and float32 is fast enough there.
    precision=(--cfg-options optim_wrapper.type=OptimWrapper)
fi

train() {  # NAME TITLE CONFIG [OPTION...], to be called in a subshell
    local dir=$OUT/$1 title=$2
    shift 2
    if grep -qs '"finished": true' "$dir/time_to_target.json"; then
        echo "== $title: done before, in $dir"
        return
    fi
    echo "== $title: in $dir"
    # exec, so that a signal to the subshell reaches the training.
    exec "$PY" tools/train.py "$@" --work-dir "$dir" --resume auto \
        ${precision[@]+"${precision[@]}"}
}

"$PY" tools/dataset_converters/digit_scenes.py data/digit_scenes
(train teacher '1/3 weak teacher' "$TEACHER")

# Both students at a time: half the wait, and the same machine for both clocks.
jobs=()
trap 'kill "${jobs[@]}" 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM
(train w2s '3/3 student with the weak teacher' "$STUDENT") \
    > >(sed -u 's/^/[w2s] /') 2>&1 &
jobs+=($!)
(train baseline '2/3 student alone' "$STUDENT" --no-distill) \
    > >(sed -u 's/^/[alone] /') 2>&1 &
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
