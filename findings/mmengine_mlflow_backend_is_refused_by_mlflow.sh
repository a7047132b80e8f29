#!/usr/bin/env bash
# onedl-mmengine 0.10.12 (and mmengine 0.10.7) beside mlflow 3.17.2: a run with
# MLflowVisBackend as it is documented ends before its first iteration.
#
# Behavior: without tracking_uri the backend gives MLflow a folder of the
# work_dir as file://..., which MLflow 3.17 refuses (MlflowException). With
# mlflow 3.10.1 the same lines log a scalar. The backend is made at the first
# thing to log, so the error comes after models and data have been built.
# For whom: everyone with vis_backends=[dict(type='MLflowVisBackend')] and a new
# MLflow. MLFLOW_ALLOW_FILE_STORE=true in the environment is the remedy, or
# tracking_uri='sqlite:///mlflow.db' in the config (with the whole mlflow).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install -q torch==2.13.0 onedl-mmengine==0.10.12 \
    opencv-python-headless==4.14.0.94 numpy==2.4.6 mlflow-skinny==3.17.2
"$dir/env/bin/pip" install -q --no-deps --target "$dir/original" \
    mmengine==0.10.7
"$dir/env/bin/pip" install -q --no-deps --target "$dir/earlier" \
    mlflow-skinny==3.10.1
cd "$dir"
cat > run.py <<'PYTHON'
import os
import sys

import mlflow
import mmengine
from mlflow.exceptions import MlflowException
from mmengine.visualization import MLflowVisBackend

name = sys.argv[1]
backend = MLflowVisBackend(save_dir=os.path.abspath(f'runs/{name}'))
try:
    backend.add_scalar('loss', 0.5, step=1)
    seen = 'logs a scalar'
except MlflowException as error:
    seen = f'MlflowException: {str(error).split(".")[0]}'
print(f'mmengine {mmengine.__version__}, mlflow {mlflow.__version__}, '
      f'MLFLOW_ALLOW_FILE_STORE={os.environ.get("MLFLOW_ALLOW_FILE_STORE")}: '
      f'{seen}')
refused = name.startswith('refused')
assert seen.startswith('MlflowException') == refused, seen
PYTHON
run() { "$dir/env/bin/python" -W ignore run.py "$1"; }
run refused
PYTHONPATH="$dir/original" run refused_original
MLFLOW_ALLOW_FILE_STORE=true run allowed
PYTHONPATH="$dir/earlier" run earlier
echo "as described"
