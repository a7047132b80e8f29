#!/usr/bin/env bash
# onedl-mmengine 0.10.12 beside onedl-mmsegmentation 1.4.2: a config of mmseg
# is not found, and asking for it by name installs the original package over
# the fork.
#
# Behavior: for 'mmseg::...' MMEngine asks whether a package "mmsegmentation" is
# installed. The fork has the module mmseg under another package name, so the
# answer is no: Config.fromfile of a config with _base_ = 'mmseg::...' says that
# mmsegmentation is not installed, and mmengine.hub.get_config has pip install
# the original mmsegmentation 1.2.2, without asking. Both packages own the folder
# mmseg, so the fork's files are replaced. mmdet and mmpretrain have one name
# for both, and are found.
# For whom: everyone who inherits configs of the fork by scope. Give the path of
# the config instead: mmseg/.mim/configs/... in site-packages.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
export PATH="$dir/env/bin:$PATH"
pip install -q torch==2.13.0 onedl-mmengine==0.10.12 numpy==2.4.6 \
    opencv-python-headless==4.14.0.94 'setuptools<82'
pip install -q --no-deps --no-build-isolation onedl-mmsegmentation==1.4.2
cd "$dir"
cat > ask.py <<'PYTHON'
import re
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

import mmengine
from mmengine.config import Config
from mmengine.hub import get_config

CONFIG = 'fcn/fcn_r50-d8_4xb2-80k_cityscapes-512x1024.py'
folder = Path(find_spec('mmseg').origin).parent


def installed():
    return {
        d.name: d.version
        for d in distributions() if 'mmseg' in d.name.lower()
    }


def source():
    """Whose file mmseg/version.py is."""
    text = (folder / 'version.py').read_text()
    return 'the fork' if 'onedl' in text else re.search(
        r"__version__ = '(.+?)'", text)[1]


print('mmengine', mmengine.__version__)
print('before:', installed(), 'mmseg:', source())
assert source() == 'the fork'
assert (folder / '.mim/configs' / CONFIG).is_file()
Path('child.py').write_text(f"_base_ = 'mmseg::{CONFIG}'\n")
try:
    Config.fromfile('child.py')
except Exception as error:
    said = f'{type(error).__name__}: {error}'
print('_base_ of its scope:', said)
assert 'mmsegmentation is not installed' in said
try:
    get_config(f'mmseg::{CONFIG}')
except Exception as error:
    print('get_config:', type(error).__name__)
print('after:', installed(), 'mmseg:', source())
assert source() == '1.2.2'
PYTHON
python -W ignore ask.py
echo "as described"
