# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Pictures that runs have drawn, side by side: detections, sample grids."""
import base64
import glob
import io
import os.path as osp
import re
from typing import Dict, List, NamedTuple, Tuple

from PIL import Image

from mmw2s.analysis.mmengine_logs import log_folders
from mmw2s.analysis.run import Run
from .content import Report

__all__ = ['Picture', 'pictures']

_SIDE, _QUALITY = 440, 82  # pixels of the longer side
_ROWS, _BYTES = 4, 1_500_000
_STEP = re.compile(r'^(?P<name>.+)_(?P<step>\d+)\.(?:png|jpe?g)$', re.I)


class Picture(NamedTuple):
    """A picture that one group has drawn.

    Attributes:
        group (str): Whose it is.
        title (str): What it shows, and after which step.
        link (str): A data link.
        width, height (int): Its size in pixels.
    """
    group: str
    title: str
    link: str
    width: int
    height: int


def pictures(report: Report) -> Tuple[List[List[Picture]], List[str]]:
    """Rows of pictures, of the first run of each group that has some.

    A row has the pictures of one name: after the latest step that all of the
    groups have, so that like is compared with like, else after each one's
    last. They are made small, and no more are taken than a page can hold.

    Returns:
        tuple[list[list[Picture]], list[str]]: The rows, and a sentence for
        each picture that cannot be read.
    """
    drawn: Dict[str, Dict[str, Dict[int, str]]] = {}
    for group in report.groups:
        for run in group.runs:
            found = _drawn_by(run)
            if found:
                for name, steps in found.items():
                    drawn.setdefault(name, {})[group.name] = steps
                break
    rows, problems, total = [], [], 0
    for name, by_group in sorted(drawn.items(), key=lambda x: -len(x[1])):
        common = set.intersection(*map(set, by_group.values()))
        row = []
        for group, steps in by_group.items():
            step = max(common or steps)
            try:
                row.append(_small(group, f'{name}, step {step}', steps[step]))
            except (OSError, ValueError) as error:
                problems.append(f'{steps[step]} is no picture: {error}')
        total += sum(len(picture.link) for picture in row)
        if len(rows) == _ROWS or total > _BYTES:
            problems.append('Not all pictures of the runs are shown: the page '
                            'would be too large.')
            break
        rows += [row] if row else []
    return rows, problems


def _drawn_by(run: Run) -> Dict[str, Dict[int, str]]:
    """Name of a picture -> step -> file; a later start of the run counts."""
    found: Dict[str, Dict[int, str]] = {}
    folder = run.checkpoints or (run.path and osp.dirname(run.path))
    for logs in log_folders(folder) if folder else []:
        pattern = osp.join(glob.escape(logs), 'vis_image', '*')
        for path in sorted(glob.glob(pattern)):
            match = _STEP.match(osp.basename(path))
            if match:
                found.setdefault(match['name'], {})[int(match['step'])] = path
    return found


def _small(group: str, title: str, path: str) -> Picture:
    with Image.open(path) as image:
        image = image.convert('RGB')
        image.thumbnail((_SIDE, _SIDE))
        file = io.BytesIO()
        image.save(file, 'JPEG', quality=_QUALITY)
        data = base64.b64encode(file.getvalue()).decode()
        return Picture(group, title, f'data:image/jpeg;base64,{data}',
                       *image.size)
