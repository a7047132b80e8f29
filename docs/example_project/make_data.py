# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Draws the images: python make_data.py [number of images per set]."""
import csv
import os
import sys

import cv2
import numpy as np

SIZE = 96


def draw(folder: str, count: int, seed: int) -> None:
    """Write ``count`` images of a square and a bar, and their boxes."""
    rng = np.random.RandomState(seed)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'boxes.csv'), 'w', newline='') as file:
        rows = csv.writer(file)
        rows.writerow(['image', 'x1', 'y1', 'x2', 'y2', 'kind'])
        for i in range(count):
            image = rng.randint(0, 90, (SIZE, SIZE, 3)).astype(np.uint8)
            for kind, w, h in (('square', 28, 28), ('bar', 48, 16)):
                x, y = rng.randint(0, SIZE - w), rng.randint(0, SIZE - h)
                color = rng.randint(150, 255, 3).tolist()
                cv2.rectangle(image, (x, y), (x + w, y + h), color, -1)
                rows.writerow([f'{i}.png', x, y, x + w, y + h, kind])
            cv2.imwrite(os.path.join(folder, f'{i}.png'), image)


if __name__ == '__main__':
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    draw('data/train', number, seed=0)
    draw('data/val', number, seed=1)
