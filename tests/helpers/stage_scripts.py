# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Small scripts as stages, which train no one."""
from mmw2s.study.workers import run_tasks

# It notes who runs beside it, and on which device.
FINISHES = '''
import json, os, sys, time
folder = sys.argv[1]
parent = os.path.dirname(folder)
open(folder + '/running', 'w').close()
beside = 0
for _ in range(40):
    others = [os.path.join(parent, name, 'running')
              for name in os.listdir(parent)]
    beside = max(beside, sum(map(os.path.exists, others)))
    time.sleep(.01)
os.remove(folder + '/running')
print(beside, os.environ.get('CUDA_VISIBLE_DEVICES'))
with open(folder + '/time_to_target.json', 'w') as file:
    json.dump(dict(schema_version=1, history=[], finished=True), file)
'''
FAILS = 'print("why"); raise SystemExit(3)'
# As train.py: at SIGTERM it ends with a checkpoint and the signal's code.
LASTS = '''
import pathlib, signal, sys, time
def end(*_):
    pathlib.Path(sys.argv[1], 'stopped.pth').touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, end)
pathlib.Path(sys.argv[1], 'ready').touch()
time.sleep(60)
'''


def run(tasks, workers, look=lambda running: None):
    with workers.watching():
        return run_tasks(workers, tasks, look, every=.01)
