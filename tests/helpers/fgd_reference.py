# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""FGD's formulas, pixel by pixel and box by box, in float64."""
import math

import numpy as np


def masks(boxes, image_size, size):
    """Foreground and background of one image, each of shape (H, W)."""
    (height, width), (rows, columns) = image_size, size
    foreground = np.zeros(size)
    for x1, y1, x2, y2 in np.asarray(boxes, dtype=float).reshape(-1, 4):
        inside = [(row, column) for row in range(rows)
                  for column in range(columns)
                  if x1 < (column + 1) * width / columns and x2 > column *
                  width / columns and y1 < (row + 1) * height /
                  rows and y2 > row * height / rows]
        if not inside:
            continue
        tall = max(r for r, _ in inside) - min(r for r, _ in inside) + 1
        wide = max(c for _, c in inside) - min(c for _, c in inside) + 1
        for at in inside:
            foreground[at] = max(foreground[at], 1 / (tall * wide))
    free = sum(value == 0 for value in foreground.flat)
    background = np.zeros(size)
    for at in np.ndindex(*size):
        if foreground[at] == 0:
            background[at] = 1 / free
    return foreground, background


def _softmax(values):
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def _attention(maps, temperature):
    channels, rows, columns = maps.shape
    places = list(np.ndindex(rows, columns))
    at_place = _softmax([
        sum(abs(maps[c][p]) for c in range(channels)) / channels / temperature
        for p in places
    ])
    of_channel = _softmax([
        sum(abs(maps[c][p]) for p in places) / len(places) / temperature
        for c in range(channels)
    ])
    return ({
        p: len(places) * a
        for p, a in zip(places, at_place)
    }, [channels * a for a in of_channel])


def loss(student,
         teacher,
         boxes,
         image_size,
         alpha=0.001,
         beta=0.0005,
         gamma=0.0005,
         temperature=0.5):
    """Of a batch of maps (B, C, H, W), with the boxes of each image."""
    total = 0.
    for s, t, own in zip(student, teacher, boxes):
        s, t = (np.asarray(x, dtype=float) for x in (s, t))
        foreground, background = masks(own, image_size, s.shape[1:])
        spatial, channel = _attention(t, temperature)
        spatial_s, channel_s = _attention(s, temperature)
        for c in range(len(s)):
            for p, attention in spatial.items():
                error = attention * channel[c] * (t[c][p] - s[c][p])**2
                total += alpha * foreground[p] * error
                total += beta * background[p] * error
            total += gamma * abs(channel_s[c] - channel[c])
        for p, attention in spatial.items():
            total += gamma * abs(spatial_s[p] - attention)
    return total / len(student)
