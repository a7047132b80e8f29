# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The project's data set, with a format of its own."""
import csv
import os.path as osp
from typing import Dict, List

from mmdet.datasets import BaseDetDataset
from mmdet.registry import DATASETS


@DATASETS.register_module()
class BlocksDataset(BaseDetDataset):
    """A table with one row per box: ``image,x1,y1,x2,y2,kind``."""

    METAINFO = dict(classes=('square', 'bar'))

    def load_data_list(self) -> List[dict]:
        boxes: Dict[str, List[dict]] = {}
        with open(self.ann_file, newline='') as file:
            for row in csv.DictReader(file):
                boxes.setdefault(row['image'], []).append(
                    dict(
                        bbox=[float(row[k]) for k in ('x1', 'y1', 'x2', 'y2')],
                        bbox_label=self.metainfo['classes'].index(row['kind']),
                        ignore_flag=0))
        folder = osp.dirname(self.ann_file)
        return [
            dict(img_id=i, img_path=osp.join(folder, name), instances=found)
            for i, (name, found) in enumerate(boxes.items())
        ]
