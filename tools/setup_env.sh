#!/usr/bin/env bash
# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
set -euo pipefail

usage() {
    cat <<'HELP'
Makes an environment in which mmw2s runs, or brings one up to date.

    bash tools/setup_env.sh [--stack STACK] [--active] [--python PYTHON]
                            [--check]

    --stack STACK     the OpenMMLab packages: "onedl", the maintained forks
                      (default), in .venv in the checkout; or "original", the
                      last releases of OpenMMLab itself, in .venv-original
    --active          use the environment that is active instead; a
                      torch >= 2.5 found there is kept
    --python PYTHON   make the environment with this Python (3.11, 3.12 or
                      3.13; 3.11 for the original packages)
    --check           only look whether the machine will do, change nothing
    -h, --help        show this text

Steps: build tools, general packages, torch, torchvision, packages for
diffusion, OpenMMLab packages, mmcv's ops (compiled once, minutes; the wheel is
kept), mmw2s itself (editable), final check. A second call only repeats the
final check.

Checked before anything long begins:
    python      a version that the pinned packages support
    venv        Python's venv and ensurepip, to make the environment
    active      with --active: that an environment is active
    compiler    a C++17 compiler (g++, or what CXX names), for mmcv's ops
    headers     Python.h, for the same
    disk        6 GB free for the CPU build of torch, 18 GB for the CUDA one
    nvcc        the CUDA compiler, where there is an NVIDIA driver
Checked at the end:
    imports     every package, mmdet's and mmpretrain's models included
    nms         mmcv's operator gives the right boxes
    roi_align   mmcv's operator gives the right values
    cuda        both of them on the GPU, where torch was built for CUDA

Environment variables:
    MMW2S_CACHE   where wheels are kept; ${XDG_CACHE_HOME:-~/.cache}/mmw2s
    MMW2S_CPU     1: CPU builds although there is an NVIDIA driver
    MAX_JOBS      compilers at a time
    CXX           the C++ compiler
    TORCH_CUDA_ARCH_LIST   GPUs to compile for; those of this machine
HELP
}

# ---------------------------------------------------------------- the pins
# Versions that were measured to work together. Change them here only.
BUILD_TOOLS=(pip==26.3 setuptools==81.0.0 wheel==0.48.0 ninja==1.13.2
    packaging==26.3)
TORCH=2.13.0
TORCHVISION=0.28.0
# They name their dependencies too widely (opencv with a display, old numpy):
# installed without, and what they need is in PACKAGES.
stack_onedl() {
    VENV=.venv
    PYTHONS=(3.11 3.12 3.13)
    NUMPY=2.4.6
    MMCV=onedl-mmcv==2.3.6
    OPENMMLAB=(onedl-mmengine==0.10.12 onedl-mmdetection==3.5.1
        onedl-mmpretrain==1.3.6 imaug==0.4.3)
}
stack_original() {
    VENV=.venv-original
    PYTHONS=(3.11)
    NUMPY=2.2.6 # 2.3 has dropped what mmdet uses
    MMCV=mmcv==2.1.0 # mmdet refuses 2.2
    OPENMMLAB=(mmengine==0.10.7 mmdet==3.3.0 mmpretrain==1.2.0)
}
PACKAGES=(scipy==1.17.1 matplotlib==3.11.2 pillow==13.0.0
    opencv-python-headless==4.14.0.94 scikit-image==0.26.0 imageio==2.38.1
    scikit-learn==1.9.1 shapely==2.2.0 pycocotools==2.0.11 addict==2.4.0
    einops==0.8.2 importlib-metadata==10.2.0 mat4py==0.6.0 modelindex==0.0.2
    pyyaml==6.0.3 rich==15.0.0 six==1.17.0 termcolor==3.3.0
    terminaltables==3.1.10 tqdm==4.70.1 yapf==0.43.0 pytest==9.2.0
    hypothesis==6.170.17 sortedcontainers==2.4.0)
# After torch, which they would bring along in a build of their choice.
DIFFUSION=(diffusers==0.42.1 huggingface-hub==2.4.0 safetensors==0.8.0
    torchmetrics==1.9.0 lightning-utilities==0.15.3)
# setuptools takes them instead of Python's own. Without -O2 NMS and RoIAlign
# take twice as long on a CPU; with -g compiling does.
OPS_FLAGS='-g0 -O2'
DISK_CPU_GB=6
DISK_CUDA_GB=18

# ---------------------------------------------------------------- helpers
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${MMW2S_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mmw2s}
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONNOUSERSITE=1

say() { printf '[setup] %s\n' "$*"; }
die() {
    printf '[setup] ERROR: %s\n' "$1" >&2
    shift
    (($# == 0)) || printf '[setup]        %s\n' "$@" >&2
    exit 1
}

HEART=
stop_heart() {
    if [[ -n $HEART ]]; then
        kill "$HEART" 2>/dev/null || true
        wait "$HEART" 2>/dev/null || true
        HEART=
    fi
}
trap stop_heart EXIT

# Says every 20 s that the step lives, and what ninja has compiled so far.
heartbeat() {
    local begin=$SECONDS done_
    while sleep 20; do
        done_=$(grep -oE '\[[0-9]+/[0-9]+\]' "$LOG" | tail -n 1 || true)
        printf '[setup]     %d s%s\n' $((SECONDS - begin)) \
            "${done_:+, files compiled: $done_}" >&3
    done
}

# step TITLE COMMAND...: run it quietly; its output goes to the log.
step() {
    local begin=$SECONDS title=$1
    shift
    say "$title ..."
    printf '\n=== %s: %s\n' "$title" "$*" >>"$LOG"
    # Nothing but descriptor 3 is inherited, or a caller reading our output
    # would wait for the last sleep; 9 is the lock.
    heartbeat 3>&1 >/dev/null 2>&1 9>&- &
    HEART=$!
    if ! "$@" >>"$LOG" 2>&1 9>&-; then
        stop_heart
        tail -n 25 "$LOG" >&2
        die "$title failed" "the whole log is in $LOG"
    fi
    stop_heart
    say "    done in $((SECONDS - begin)) s"
}

pip_install() { "$PY" -m pip install "$@"; }

has_driver() {
    [[ -e /proc/driver/nvidia/version ]] || nvidia-smi -L >/dev/null 2>&1
}

free_gb() { df -Pk "$1" | awk 'NR == 2 {print int($4 / 1048576)}'; }

need_disk() { # GB
    local free
    free=$(free_gb "$HOME_OF_ENV")
    ((free >= $1)) || die \
        "$1 GB of disk should be free, but $HOME_OF_ENV has $free" \
        "free some space, or use --active with an environment elsewhere"
}

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

supported() { [[ " ${PYTHONS[*]} " == *" $1 "* ]]; }

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
            usage
            exit 0
            ;;
        *) die "unknown argument \"$1\"" "see bash tools/setup_env.sh --help" ;;
    esac
    shift
done
"stack_$STACK"
PACKAGES+=("numpy==$NUMPY")

# ---------------------------------------------------------------- checks
if $ACTIVE; then
    PREFIX=${VIRTUAL_ENV:-${CONDA_PREFIX:-}}
    [[ -n $PREFIX ]] || die "--active needs an environment that is active" \
        "activate one (venv or conda), or leave --active out to get $VENV"
    PY=$PREFIX/bin/python
    BASE=$PY
    HOME_OF_ENV=$PREFIX
else
    PREFIX=$ROOT/$VENV
    PY=$PREFIX/bin/python
    HOME_OF_ENV=$ROOT
fi
STAMP=$PREFIX/.mmw2s-setup # what is installed, by this script
OPS_STAMP=$PREFIX/.mmw2s-ops # which build of mmcv

check_python() {
    local candidate version
    if [[ -z $BASE && -x $PY ]]; then
        BASE=$PY
    fi
    if [[ -z $BASE ]]; then
        for candidate in python3 python3.13 python3.12 python3.11; do
            if version=$(version_of "$candidate" 2>/dev/null) &&
                supported "$version"; then
                BASE=$candidate
                break
            fi
        done
        [[ -n $BASE ]] || die "Python ${PYTHONS[*]} is needed, but python3 is \
$(version_of python3 2>/dev/null || echo missing)" \
            "install one of them, or name it: --python /path/to/python3.11"
    fi
    version=$(version_of "$BASE" 2>/dev/null) ||
        die "$BASE does not run" "name another: --python /path/to/python3.11"
    supported "$version" || die \
        "Python should be one of ${PYTHONS[*]}, but $BASE is $version" \
        "name another: --python /path/to/python3.11"
    if [[ ! -x $PY ]]; then
        "$BASE" -c 'import ensurepip, venv' 2>/dev/null || die \
            "$BASE has no venv or no ensurepip" \
            "install them (Debian, Ubuntu: apt install python$version-venv)"
    fi
    say "python $version ($BASE)"
}

check_compiler() {
    local cxx=${CXX:-g++} include
    read -ra cxx <<<"$cxx"
    command -v "${cxx[0]}" >/dev/null || die \
        "the C++ compiler ${cxx[0]} is missing; mmcv's ops are compiled" \
        "install it (Debian, Ubuntu: apt install g++) or set CXX"
    include=$("$BASE" -c 'import sysconfig
print(sysconfig.get_path("include"))')
    [[ -e $include/Python.h ]] || die \
        "Python's headers are missing: $include/Python.h" \
        "install them (Debian, Ubuntu: apt install python3-dev)"
    echo 'int main() { auto [a, b] = "x"; return a + b; }' |
        "${cxx[@]}" -std=c++17 -x c++ -fsyntax-only - 2>/dev/null || die \
        "the C++ compiler ${cxx[0]} does not know C++17" \
        "install g++ 9 or newer, or set CXX"
    say "compiler $("${cxx[@]}" -dumpfullversion -dumpversion) (${cxx[0]})"
}

check_nvcc() {
    if [[ -z ${CUDA_HOME:-} ]]; then
        if command -v nvcc >/dev/null; then
            CUDA_HOME=$(dirname "$(dirname "$(readlink -f \
                "$(command -v nvcc)")")")
        else
            CUDA_HOME=/usr/local/cuda
        fi
    fi
    [[ -x $CUDA_HOME/bin/nvcc ]] || die \
        "there is an NVIDIA driver, but no nvcc to compile mmcv's CUDA ops" \
        "install the CUDA toolkit and set CUDA_HOME (tried $CUDA_HOME)," \
        "or hide the driver and get a CPU environment: MMW2S_CPU=1"
    export CUDA_HOME
    say "nvcc in $CUDA_HOME"
}

GPU=false
if [[ ${MMW2S_CPU:-0} != 1 ]] && has_driver; then
    GPU=true
fi

check_machine() {
    check_python
    check_compiler
    if $GPU; then
        check_nvcc
        need_disk $DISK_CUDA_GB
    else
        say "no NVIDIA driver: CPU builds"
        need_disk $DISK_CPU_GB
    fi
    say "disk $(free_gb "$HOME_OF_ENV") GB free"
}

final_check() {
    "$PY" - <<'PYTHON'
import contextlib
import importlib
import io
import warnings

warnings.filterwarnings('ignore')
import torch  # noqa: E402

names = ('torchvision numpy scipy cv2 matplotlib rich pycocotools sklearn '
         'mmengine mmcv mmcv.ops mmdet mmdet.models mmdet.datasets '
         'mmdet.evaluation mmpretrain mmpretrain.models diffusers '
         'torchmetrics mmw2s')
for name in names.split():
    with contextlib.redirect_stdout(io.StringIO()):  # greetings
        importlib.import_module(name)
from mmcv.ops import nms, roi_align  # noqa: E402

for device in ['cpu'] + (['cuda'] if torch.cuda.is_available() else []):
    boxes = torch.tensor([[0., 0., 9., 9.], [1., 0., 9., 9.], [20., 20., 29.,
                                                               29.]])
    _, keep = nms(boxes.to(device),
                  torch.tensor([.9, .8, .7], device=device), 0.5)
    assert keep.tolist() == [0, 2], f'nms on {device} kept {keep.tolist()}'
    rois = torch.tensor([[0., 0., 0., 4., 4.]], device=device)
    out = roi_align(torch.full((1, 1, 8, 8), 3., device=device), rois, 2)
    assert out.shape == (1, 1, 2, 2) and (out - 3).abs().max() < 1e-5, \
        f'roi_align on {device} gave {out.tolist()}'
import mmcv  # noqa: E402
import mmdet  # noqa: E402
import mmengine  # noqa: E402
import mmpretrain  # noqa: E402
import mmw2s  # noqa: E402

print('    ' + ', '.join(f'{m.__name__} {m.__version__}'
                         for m in (torch, mmengine, mmcv, mmdet, mmpretrain,
                                   mmw2s)) +
      f'; nms and roi_align work on {device}')
PYTHON
}

# ---------------------------------------------------------------- install
# torch's CPU build is a "local version" that not every index has.
install_torch() {
    local have
    if $ACTIVE && have=$("$PY" -c 'import torch
version = torch.__version__
assert tuple(map(int, version.split(".")[:2])) >= (2, 5)
print(version)' 2>/dev/null); then
        say "torch $have is there and kept"
        return
    fi
    if ! $GPU && [[ $(uname -s) == Linux ]]; then
        if "$PY" -m pip install --no-deps --dry-run "torch==$TORCH+cpu" \
            >>"$LOG" 2>&1; then
            step "torch $TORCH, CPU build" pip_install "torch==$TORCH+cpu"
            return
        fi
        say "pip finds no CPU build of torch $TORCH here; only the build that" \
            "the index has could be had, which may bring gigabytes of CUDA along." \
            "To avoid that, add PyTorch's CPU index to pip's settings."
        need_disk $DISK_CUDA_GB
    fi
    step "torch $TORCH (several minutes where it brings CUDA)" \
        pip_install "torch==$TORCH"
}

# Where torch has no CUDA the operators of the torchvision wheel do not load,
# and its import fails on registering shapes for two of them.
guard_torchvision() {
    "$PY" - <<'PYTHON'
import os
import sysconfig
from pathlib import Path

path = Path(sysconfig.get_path('platlib'),
            'torchvision/_meta_registrations.py')
text = path.read_text()
for op in ('nms', 'qnms'):
    register = f'torch.library.register_fake("torchvision::{op}")'
    text = text.replace(
        f'\n@{register}\n', f'\n@({register} if '
        'torchvision.extension._has_ops() else lambda f: f)\n')
if text != path.read_text():
    # A new file, as the old one may be a hard link into an installer's cache.
    new = path.with_suffix('.new')
    new.write_text(text)
    os.replace(new, path)
PYTHON
}

install_torchvision() {
    local want="torchvision==$TORCHVISION"
    if [[ $("$PY" -c 'import torch; print(torch.__version__)') != $TORCH* ]]
    then
        # A torch that was there: releases go in step, 2.13 with 0.28.
        want=$("$PY" -c 'import torch
print(f"torchvision==0.{int(torch.__version__.split(chr(46))[1]) + 15}.*")')
    fi
    step "$want" pip_install --no-deps "$want"
    if [[ $("$PY" -c 'import torch; print(torch.version.cuda)') == None ]]; then
        step "torchvision without operators of its own" guard_torchvision
    fi
}

# Name of the folder in the cache: all that a compiled wheel depends on.
ops_key() { # cuda|cpu
    "$PY" - "$MMCV" "$1" "${OPS_FLAGS//-/}" <<'PYTHON'
import os
import platform
import re
import sys

import torch

arch = sys.argv[2]
if arch == 'cuda':
    arches = os.environ.get('TORCH_CUDA_ARCH_LIST') or ';'.join(
        sorted({
            '%d.%d' % torch.cuda.get_device_capability(i)
            for i in range(torch.cuda.device_count())
        }))
    arch = f'cuda{torch.version.cuda}-sm{arches}'
key = '-'.join([
    sys.argv[1], f'cp{sys.version_info[0]}{sys.version_info[1]}',
    f'torch{torch.__version__}', platform.system(),
    platform.machine(), *platform.libc_ver(), arch, sys.argv[3]
])
print(re.sub(r'[^A-Za-z0-9._+-]+', '_', key).lower())
PYTHON
}

build_ops() { # folder, cuda|cpu
    local new jobs memory
    new=$(mktemp -d "$CACHE/building.XXXXXX")
    jobs=$(nproc 2>/dev/null || echo 2)
    if [[ -r /proc/meminfo ]]; then # a compiler takes up to 1.5 GB
        memory=$(awk '/MemAvailable/ {print int($2 / 1572864)}' /proc/meminfo)
        ((memory >= jobs)) || jobs=$((memory > 0 ? memory : 1))
    fi
    export MAX_JOBS=${MAX_JOBS:-$jobs} MMCV_WITH_OPS=1
    export CFLAGS=$OPS_FLAGS CXXFLAGS=$OPS_FLAGS
    FORCE_CUDA=$([[ $2 == cuda ]] && echo 1 || echo 0)
    export FORCE_CUDA
    # --no-build-isolation: the isolated build has no torch and makes a wheel
    # without ops. --no-cache-dir: pip would hand out what it once compiled for
    # another torch. -v: ninja's count for the heart-beat.
    if ! "$PY" -m pip wheel -v --no-deps --no-build-isolation \
        --no-cache-dir --no-binary "${MMCV%%=*}" -w "$new" "$MMCV" ||
        ! has_ops "$new"/*.whl; then
        rm -rf "$new"
        return 1
    fi
    mkdir -p "$(dirname "$1")"
    rm -rf "$1"
    chmod 755 "$new"
    mv "$new" "$1"
}

has_ops() { # wheel
    "$PY" - "$1" <<'PYTHON'
import sys
import zipfile

if not any(n.startswith('mmcv/_ext') for n in zipfile.ZipFile(
        sys.argv[1]).namelist()):
    sys.exit('the wheel that was built has no ops')
PYTHON
}

install_ops() {
    local arch=cpu wheels key
    if $GPU && [[ $("$PY" -c 'import torch
print(torch.version.cuda)') != None ]]; then
        arch=cuda
        "$PY" -c 'import re, subprocess, sys, torch
text = subprocess.check_output([sys.argv[1] + "/bin/nvcc", "--version"])
nvcc = re.search(r"release (\d+)\.", text.decode()).group(1)
cuda = torch.version.cuda.split(".")[0]
sys.exit(None if nvcc == cuda else f"nvcc is of CUDA {nvcc}, torch of {cuda}")
' "$CUDA_HOME" || die "nvcc should be of the CUDA that torch was built for" \
            "install that toolkit and set CUDA_HOME, or set MMW2S_CPU=1"
    elif $GPU; then
        say "there is a GPU, but the torch that could be had is a CPU build"
    fi
    key=$(ops_key $arch)
    wheels=$CACHE/wheels/$key
    if ! compgen -G "$wheels/*.whl" >/dev/null; then
        step "compiling mmcv's ops for $arch, once (about 4 minutes on 2 \
cores, 6 for cuda on 8)" build_ops "$wheels" $arch
    else
        say "mmcv's ops: compiled before, $wheels"
    fi
    # The version alone does not tell a wheel compiled for another torch.
    if [[ ! -f $OPS_STAMP || $(<"$OPS_STAMP") != "$key" ]]; then
        step "mmcv" pip_install --no-deps --force-reinstall "$wheels"/*.whl
        echo "$key" >"$OPS_STAMP"
    fi
}

install_all() {
    mkdir -p "$CACHE/logs"
    LOG=$(mktemp "$CACHE/logs/setup.XXXXXX")
    say "log: $LOG"
    if [[ ! -x $PY ]]; then
        step "making $PREFIX" "$BASE" -m venv "$PREFIX"
    fi
    step "build tools" pip_install "${BUILD_TOOLS[@]}"
    step "general packages" pip_install "${PACKAGES[@]}"
    install_torch
    install_torchvision
    step "packages for diffusion" pip_install "${DIFFUSION[@]}"
    step "OpenMMLab packages" pip_install --no-deps "${OPENMMLAB[@]}"
    install_ops
    step "mmw2s, editable" pip_install --no-deps --no-build-isolation \
        -e "$ROOT"
}

# ---------------------------------------------------------------- main
if $CHECK; then
    check_machine
    exit 0
fi

# What is installed depends on this file, on the place of the checkout and on
# the machine having a GPU.
state=$({
    cat "${BASH_SOURCE[0]}"
    echo "$ROOT $GPU $STACK"
} | cksum)
if [[ -f $STAMP && $(<"$STAMP") == "$state" ]]; then
    say "$PREFIX is up to date; final check ..."
    if final_check; then
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
final_check || die "the environment was made, but does not work" \
    "the log of the installation is in $LOG"
echo "$state" >"$STAMP"
rm -f "$LOG"
say "ready: $PY (${SECONDS} s)"
