#!/usr/bin/env bash
# pycocotools 2.0.11, hotcoco 1.3.0, faster-coco-eval 1.8.0: the AP of the same
# detections, 0.15 or 0.28.
#
# Behavior: MMDetection's CocoMetric sets maxDets to [100, 300, 1000]. With
# them pycocotools still takes the 100 best detections of an image and class
# for the first number of its summary, the AP over all thresholds, and 1,000
# for all others, AP50 among them. The two that say they are its drop-in
# replacements take 1,000 for the first one too (onedl-mmdetection 3.5.1 has
# faster-coco-eval as FasterCocoMetric, beside CocoMetric). Where 100 is not in
# maxDets, pycocotools gives -1 for it, the others a number. With the default
# maxDets all three agree.
# For whom: crowded images (drones, cells, shelves) and a test_cfg with
# max_per_img above 100: an evaluator that is changed between baseline and
# student moves the mAP, and the epochs to a target, by itself. With
# max_per_img=100, MMDetection's usual, they agree.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install -q pycocotools==2.0.11 hotcoco==1.3.0 \
    faster-coco-eval==1.8.0 numpy==2.4.6
cd "$dir"
"$dir/env/bin/python" -W ignore - <<'PYTHON'
import contextlib
import io
import json
from importlib.metadata import version

import faster_coco_eval
import hotcoco
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

rng = np.random.RandomState(0)


def box():
    return [*rng.uniform(0, 400, 2), *rng.uniform(8, 120, 2)]


images = [dict(id=i, width=640, height=640) for i in range(1, 5)]
truth, found = [], []
for image in images:
    for _ in range(60):  # objects
        x, y, w, h = box()
        where = dict(image_id=image['id'], category_id=1)
        truth.append(
            dict(
                where,
                id=len(truth) + 1,
                bbox=[x, y, w, h],
                area=w * h,
                iscrowd=0))
        for seen in ([x + 2, y, w, h], box(), box()):
            found.append(dict(where, bbox=seen, score=float(rng.rand())))
with open('truth.json', 'w') as f:
    json.dump(
        dict(
            images=images,
            annotations=truth,
            categories=[dict(id=1, name='a')]), f)
with open('found.json', 'w') as f:
    json.dump(found, f)

EVALUATORS = {
    'pycocotools': (COCO, COCOeval),
    'hotcoco': (hotcoco.COCO, hotcoco.COCOeval),
    'faster-coco-eval':
    (faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster)
}


def summary(name, max_dets):
    api, evaluator = EVALUATORS[name]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = api('truth.json')
        evaluation = evaluator(coco, coco.loadRes('found.json'), 'bbox')
        if max_dets:
            evaluation.params.maxDets = max_dets
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [round(float(value), 4) for value in evaluation.stats[:3]]


print(*(f'{name} {version(name)}' for name in EVALUATORS))
print(len(found) // len(images), 'detections an image, of one class')
for max_dets in (None, [100, 300, 1000], [10, 50, 500]):
    numbers = {name: summary(name, max_dets) for name in EVALUATORS}
    print(f'maxDets {max_dets or "[1, 10, 100], the default"}: AP, AP50, AP75')
    for name, values in numbers.items():
        print(f'    {name}: {values}')
    own, *others = numbers.values()
    assert others[0] == others[1] and own[1:] == others[0][1:]
    if max_dets is None:
        assert own == others[0]
    elif 100 in max_dets:
        assert own[0] == summary('pycocotools', None)[0]
        assert others[0][0] > 1.1 * own[0] > 0
    else:
        assert own[0] == -1 and others[0][0] > 0
PYTHON
echo "as described"
