#!/usr/bin/env bash
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# Makes an environment in which mmw2s runs, or brings one up to date.
#
#     bash tools/setup_env.sh [--stack STACK] [--active] [--python PYTHON]
#                             [--check]
#
#     --stack STACK     the OpenMMLab packages: "onedl", the maintained forks
#                       (default), in .venv in the checkout; or "original", the
#                       last releases of OpenMMLab itself, in .venv-original
#     --active          use the environment that is active instead; a
#                       torch >= 2.5 found there is kept
#     --python PYTHON   make the environment with this Python (3.11, 3.12 or
#                       3.13; 3.11 for the original packages)
#     --check           only look whether the machine will do, change nothing
#     -h, --help        show this text
#
# Versions are those of requirements/. Steps: build tools, torch, general
# packages, torchvision, mmcv's ops (compiled once, minutes; the wheel is kept),
# OpenMMLab packages, mmw2s itself (editable), final check. A second call only
# repeats the final check.
#
# Checked before anything long begins:
#     python      a version that the pinned packages support
#     venv        Python's venv and ensurepip, to make the environment
#     active      with --active: that an environment is active
#     compiler    a C++17 compiler (g++, or what CXX names), for mmcv's ops
#     headers     Python.h, for the same
#     disk        6 GB free for the CPU build of torch, 18 GB for the CUDA one
#     nvcc        the CUDA compiler, where there is an NVIDIA driver
# Checked at the end:
#     imports     every package, mmdet's and mmpretrain's models included
#     nms         mmcv's operator gives the right boxes
#     roi_align   mmcv's operator gives the right values
#     cuda        both of them on the GPU, where torch was built for CUDA
#
# Environment variables:
#     MMW2S_CACHE   where wheels are kept; ${XDG_CACHE_HOME:-~/.cache}/mmw2s
#     MMW2S_CPU     1: CPU builds although there is an NVIDIA driver
#     MMW2S_CUDA    1: CUDA builds although there is none (to make an image)
#     MAX_JOBS      compilers at a time
#     CXX           the C++ compiler
#     TORCH_CUDA_ARCH_LIST   GPUs to compile for; those of this machine
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PINS=$ROOT/requirements
CACHE=${MMW2S_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mmw2s}
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONNOUSERSITE=1

# ---------------------------------------------------------------- helpers
say() { printf '[setup] %s\n' "$*"; }
die() { # MESSAGE [HINT...]
    printf '[setup] ERROR: %s\n' "$1" >&2
    shift
    (($# == 0)) || printf '[setup]        %s\n' "$@" >&2
    exit 1
}

HEART=
stop_heart() {
    [[ -z $HEART ]] || { kill "$HEART" && wait "$HEART"; } 2>/dev/null || true
    HEART=
}
trap stop_heart EXIT

# Says every 20 s that the step lives, and what ninja has compiled so far.
heartbeat() { # when the step began
    local compiled
    while sleep 20 3>&-; do
        compiled=$(grep -oE '\[[0-9]+/[0-9]+\]' "$LOG" | tail -n 1 || true)
        printf '[setup]     %d s%s\n' $((SECONDS - $1)) \
            "${compiled:+, files compiled: $compiled}" >&3
    done
}

# step TITLE COMMAND...: run it quietly; its output goes to the log.
step() {
    local begin=$SECONDS title=$1
    shift
    say "$title ..."
    printf '\n=== %s: %s\n' "$title" "$*" >>"$LOG"
    # Its sleep inherits no descriptor, or a caller reading our output would
    # wait for the last one; 9 is the lock.
    heartbeat "$begin" 3>&1 >/dev/null 2>&1 9>&- &
    HEART=$!
    if ! "$@" >>"$LOG" 2>&1 9>&-; then
        stop_heart
        tail -n 25 "$LOG" >&2
        die "$title failed" "the whole log is in $LOG"
    fi
    stop_heart
    say "    done in $((SECONDS - begin)) s"
}

install() { "$PY" -m pip install "$@"; }

pin() { sed -n "s/^\($2==[^ ]*\).*/\1/p" "$PINS/$1.txt"; } # FILE PACKAGE

helper() { "$PY" "$ROOT/tools/setup_env.py" "$@"; }

# ---------------------------------------------------------------- arguments
STACK=onedl ACTIVE=false CHECK=false BASE=
while (($#)); do
    case $1 in
        --stack)
            [[ ${2-} == onedl || ${2-} == original ]] || die \
                "--stack should be onedl or original, but is \"${2-}\""
            STACK=$2
            shift
            ;;
        --active) ACTIVE=true ;;
        --check) CHECK=true ;;
        --python)
            [[ -n ${2-} ]] || die "--python should be followed by a Python"
            BASE=$2
            shift
            ;;
        -h | --help)
            sed -n '3,/^set/s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
        *) die "unknown argument \"$1\"" "see bash tools/setup_env.sh --help" ;;
    esac
    shift
done
if [[ $STACK == onedl ]]; then
    PYTHONS=(3.11 3.12 3.13) MMCV=onedl-mmcv PREFIX=$ROOT/.venv
else
    PYTHONS=(3.11) MMCV=mmcv PREFIX=$ROOT/.venv-original
fi
HOME_OF_ENV=$ROOT
if $ACTIVE; then
    PREFIX=${VIRTUAL_ENV:-${CONDA_PREFIX:-}}
    [[ -n $PREFIX ]] || die "--active needs an environment that is active" \
        "activate one (venv or conda), or leave --active out to make one"
    BASE=$PREFIX/bin/python
    HOME_OF_ENV=$PREFIX
fi
PY=$PREFIX/bin/python
STAMP=$PREFIX/.mmw2s-setup # what is installed, by this script
OPS_STAMP=$PREFIX/.mmw2s-ops # which build of mmcv
DEVICE=cpu
if [[ ${MMW2S_CUDA:-0} == 1 ]]; then
    DEVICE=cuda
elif [[ ${MMW2S_CPU:-0} != 1 ]] &&
    { [[ -e /proc/driver/nvidia/version ]] || nvidia-smi -L &>/dev/null; }; then
    DEVICE=cuda
fi

# ---------------------------------------------------------------- checks
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

check_machine() {
    local candidates=(python3 python3.13 python3.12 python3.11) name version
    [[ ! -x $PY ]] || candidates=("$PY")
    [[ -z $BASE ]] || candidates=("$BASE")
    BASE=${candidates[0]}
    for name in "${candidates[@]}"; do
        version=$(version_of "$name" 2>/dev/null) || continue
        [[ " ${PYTHONS[*]} " != *" $version "* ]] || { BASE=$name && break; }
    done
    version=$(version_of "$BASE" 2>/dev/null) || die "$BASE does not run" \
        "name another: --python /path/to/python3.11"
    [[ " ${PYTHONS[*]} " == *" $version "* ]] || die \
        "Python should be one of ${PYTHONS[*]}, but $BASE is $version" \
        "name another: --python /path/to/python3.11"
    [[ -x $PY ]] || "$BASE" -c 'import ensurepip, venv' 2>/dev/null || die \
        "$BASE has no venv or no ensurepip" \
        "install them (Debian, Ubuntu: apt install python$version-venv)"
    say "python $version ($BASE)"
    "$BASE" "$ROOT/tools/setup_env.py" check_machine $DEVICE "$HOME_OF_ENV"
}

# ---------------------------------------------------------------- install
# torch's CPU build is a "local version" that not every index has.
install_torch() {
    local have torch
    torch=$(pin torch torch)
    if $ACTIVE && have=$("$PY" -c 'import torch
version = torch.__version__
assert tuple(map(int, version.split(".")[:2])) >= (2, 5)
print(version)' 2>/dev/null); then
        say "torch $have is there and kept"
        return
    fi
    if [[ $DEVICE == cpu && $(uname -s) == Linux ]]; then
        if install --no-deps --dry-run "$torch+cpu" >>"$LOG" 2>&1; then
            step "$torch, CPU build" install "$torch+cpu"
            return
        fi
        say "pip finds no CPU build of $torch here; only the build that the" \
            "index has could be had, which may bring gigabytes of CUDA along." \
            "To avoid that, add PyTorch's CPU index to pip's settings."
        helper check_disk cuda "$HOME_OF_ENV"
    fi
    step "$torch (several minutes where it brings CUDA)" install "$torch"
}

install_torchvision() {
    local want
    want=$(helper torchvision_requirement \
        "$(pin torch torch)" "$(pin torch torchvision)")
    step "$want" install --no-deps "$want"
    helper guard_torchvision
}

install_ops() {
    local device key mmcv wheels
    mmcv=$(pin "$STACK" $MMCV)
    device=$(helper ops_device $DEVICE)
    key=$(helper ops_key "$mmcv" "$device")
    wheels=$CACHE/wheels/$key
    if compgen -G "$wheels/*.whl" >/dev/null; then
        say "mmcv's ops: compiled before, $wheels"
    else
        step "compiling mmcv's ops for $device, once (about 4 minutes on 2 \
cores, 6 for cuda on 8)" helper build_ops "$mmcv" "$device" "$wheels"
    fi
    # The version alone does not tell a wheel compiled for another torch.
    if [[ ! -f $OPS_STAMP || $(<"$OPS_STAMP") != "$key" ]]; then
        step "mmcv" install --no-deps --force-reinstall "$wheels"/*.whl
        echo "$key" >"$OPS_STAMP"
    fi
}

install_all() {
    mkdir -p "$CACHE/logs"
    LOG=$(mktemp "$CACHE/logs/setup.XXXXXX")
    say "log: $LOG"
    [[ -x $PY ]] || step "making $PREFIX" "$BASE" -m venv "$PREFIX"
    step "build tools" install -r "$PINS/build.txt"
    install_torch # before packages that would bring one of their choice
    step "general packages" install -r "$PINS/runtime.txt" \
        -r "$PINS/diffusion.txt" -r "$PINS/tests.txt" -r "$PINS/docs.txt" \
        -r "$PINS/report.txt" \
        -c "$PINS/$STACK.txt" # which limits numpy
    install_torchvision
    install_ops
    step "OpenMMLab packages" install --no-deps -r "$PINS/$STACK.txt"
    step "mmw2s, editable" install --no-deps --no-build-isolation -e "$ROOT"
}

# ---------------------------------------------------------------- main
if $CHECK; then
    check_machine
    exit 0
fi

# What is installed depends on these files, on the place of the checkout and on
# the machine having a GPU.
state=$({
    cat "$ROOT"/tools/setup_env.* "$PINS"/*.txt
    echo "$ROOT $DEVICE $STACK"
} | cksum)
if [[ -f $STAMP && $(<"$STAMP") == "$state" ]]; then
    say "$PREFIX is up to date; final check ..."
    if helper final_check; then
        say "ready: $PY"
        exit 0
    fi
    say "it does not work any more; installing again"
    rm -f "$OPS_STAMP"
fi

check_machine
mkdir -p "$CACHE"
if command -v flock >/dev/null; then # one set-up at a time
    exec 9>"$CACHE/lock"
    flock -n 9 || {
        say "waiting for another set-up to finish ..."
        flock 9
    }
fi
rm -f "$STAMP"
install_all
say "final check ..."
helper final_check || die "the environment was made, but does not work" \
    "the log of the installation is in $LOG"
echo "$state" >"$STAMP"
rm -f "$LOG"
say "ready: $PY (${SECONDS} s)"
