#!/usr/bin/env bash
# Three surprises of COCO files, which mmdet's CocoDataset and CocoMetric pass
# on, for they number labels by what COCO.getCatIds(catNms=classes) returns:
#   1. the ids come in the order of the file's categories, whatever the order
#      of the names asked for;
#   2. a name that the file lacks is left out without a word, so all labels
#      behind it are smaller by one;
#   3. a text instead of a list, as metainfo=dict(classes=('RBC')) gives, is
#      searched: every category whose name is a part of it is taken.
# Fails if the behavior changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pycocotools==2.0.11
"$folder/venv/bin/python" - "$folder/file.json" <<'PYTHON'
import json
import sys
from importlib.metadata import version

from pycocotools.coco import COCO

NAMES = ('R', 'RBC', 'WBC', 'platelet')
with open(sys.argv[1], 'w') as file:
    json.dump(
        dict(
            images=[],
            annotations=[],
            categories=[
                dict(id=i, name=name) for i, name in enumerate(NAMES)
            ]), file)
coco = COCO(sys.argv[1])
print('pycocotools', version('pycocotools'), '- categories:', NAMES)
expected = {
    ('platelet', 'RBC'): [1, 3],
    ('R', 'neutrophil', 'WBC'): [0, 2],
    'RBC': [0, 1],
}
for asked, ids in expected.items():
    found = coco.getCatIds(catNms=asked)
    print(f'getCatIds({asked!r}) gives {found}:',
          [NAMES[i] for i in found])
    assert found == ids, f'it was {ids}: the behavior has changed'
PYTHON
