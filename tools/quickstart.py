# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Report on the runs of the quick start."""
import argparse
import json
import os.path as osp
from typing import Dict, List, NamedTuple, Sequence

import matplotlib.pyplot as plt
import mmcv
import numpy as np
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import find_latest_checkpoint

from mmw2s.analysis.settings import compare_settings, save
from mmw2s.utils.hook_configs import hook_configs

METRIC = 'coco/bbox_mAP'
MIN_SCORE = 0.3
# Name of a setting -> its run, and that of its teacher.
TAUGHT, GROWN = 'with the weak teacher', 'grown from a smaller one, 5 epochs'
RUNS = {TAUGHT: 'w2s', GROWN: 'grown'}
TEACHERS = {TAUGHT: 'teacher', GROWN: 'small_teacher'}


class Boxes(NamedTuple):
    """What a panel shows: boxes (n, 4) as x1, y1, x2, y2, and their texts."""
    boxes: np.ndarray
    texts: List[str]


def detect(work_dir: str, images: Sequence[np.ndarray],
           classes: Sequence[str]) -> List[Boxes]:
    """What the last checkpoint of a run finds in the images."""
    cfg = _config_of(work_dir)
    # One box an object: the texts of several would cover each other.
    cfg.model.test_cfg.nms.class_agnostic = True
    model = init_detector(
        cfg, find_latest_checkpoint(work_dir), palette='random', device='cpu')
    found = []
    for result in inference_detector(model, list(images)):
        instances = result.pred_instances
        instances = instances[instances.scores >= MIN_SCORE].numpy()
        found.append(
            Boxes(instances.bboxes, [
                f'{classes[label]} {score:.2f}'
                for label, score in zip(instances.labels, instances.scores)
            ]))
    return found


def _config_of(work_dir: str) -> Config:
    """The config as the run itself wrote it down."""
    with open(osp.join(work_dir, 'time_to_target.json')) as f:
        name = json.load(f)['run']['config']
    return Config.fromfile(osp.join(work_dir, osp.basename(name)))


def draw_detections(runs: Dict[str, str], path: str, count: int = 4) -> None:
    """Draw truth and detections on the first validation scenes.

    Args:
        runs (dict[str, str]): Title of a column -> work_dir of a student.
        path (str): Where the figure is written.
        count (int): Number of scenes. The first ones: none are chosen.
    """
    cfg = _config_of(next(iter(runs.values())))
    init_default_scope('mmdet')
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    classes = dataset.metainfo['classes']
    scenes = [dataset.get_data_info(i) for i in range(count)]
    images = [mmcv.imread(scene['img_path']) for scene in scenes]
    columns = {
        'ground truth': [
            Boxes(
                np.array([i['bbox'] for i in scene['instances']]),
                [classes[i['bbox_label']] for i in scene['instances']])
            for scene in scenes
        ],
        **{
            title: detect(work_dir, images, classes)
            for title, work_dir in runs.items()
        }
    }
    figure, axes = plt.subplots(
        count,
        len(columns),
        figsize=(3 * len(columns), 3 * count),
        squeeze=False,
        layout='constrained')
    for column, (title, panels) in zip(axes.T, columns.items()):
        column[0].set_title(title)
        for ax, image, panel in zip(column, images, panels):
            ax.imshow(mmcv.bgr2rgb(image))
            ax.set_axis_off()
            for (x1, y1, x2, y2), text in zip(panel.boxes, panel.texts):
                ax.add_patch(
                    plt.Rectangle((x1, y1),
                                  x2 - x1,
                                  y2 - y1,
                                  fill=False,
                                  color='lime'))
                ax.text(
                    x1,
                    y1,
                    text,
                    fontsize=7,
                    va='top',
                    bbox=dict(facecolor='lime', pad=0.5, linewidth=0))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        'out', nargs='?', default='work_dirs/quickstart', help='their folder')
    out = parser.parse_args().out
    baseline = osp.join(out, 'baseline')
    runs = {name: osp.join(out, run) for name, run in RUNS.items()}
    teachers = {name: osp.join(out, run) for name, run in TEACHERS.items()}
    draw_detections({
        'baseline': baseline,
        **runs
    }, osp.join(out, 'detections.png'))
    targets = [
        target
        for hook in hook_configs(_config_of(baseline), 'TimeToTargetHook')
        for target in hook.get('targets', {}).get(METRIC, [])
    ]
    settings = {name: [run] for name, run in runs.items()}
    result = compare_settings([baseline],
                              settings,
                              targets,
                              METRIC,
                              teacher=teachers)
    result.table().print()
    result.counted_table().print()
    save(result, out, curves=True)
    print('Written: ' + ', '.join(
        osp.join(out, name) for name in ('settings.md', 'settings.json',
                                         'curves.png', 'detections.png')))


if __name__ == '__main__':
    main()
