#!/usr/bin/env bash
# Keras 3.15.1: a Distiller that distills features by the names of layers
# changes its student when it is evaluated.
#
# Behavior: with keras.distillation.FeatureDistillation(loss, teacher_layer_name,
# student_layer_name), Distiller.evaluate() (so also each validation of fit())
# runs the student once more in training mode. BatchNormalization then moves its
# statistics towards the validation images: the student's outputs depend on how
# often, and on what, it was validated. In training that second forward moves
# them twice a step, and drops other units than the one that is learned from.
# With LogitsDistillation, or features without names, there is neither.
# For whom: who validates while distilling features, or compares such a run with
# a baseline. Validate the student itself (in a callback), not the Distiller.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install -q torch==2.13.0 numpy==2.4.6 keras==3.15.1
KERAS_BACKEND=torch "$dir/env/bin/python" -W ignore - <<'PYTHON'
import keras
import numpy as np
import torch
from keras.distillation import (Distiller, FeatureDistillation,
                                LogitsDistillation)

print('keras', keras.__version__, ' torch', torch.__version__)


def classifier():
    return keras.Sequential([
        keras.Input((8, )),
        keras.layers.Dense(4, name='hidden'),
        keras.layers.BatchNormalization(name='norm'),
        keras.layers.Dense(3)
    ])


def mean(model):
    return keras.ops.convert_to_numpy(
        model.get_layer('norm').moving_mean).copy()


images = np.random.default_rng(0).normal(5, 1, (64, 8)).astype('float32')
labels = np.zeros(64, 'int32')
for name, loss in (('logits', LogitsDistillation(3.)),
                   ('features', FeatureDistillation('mse', 'hidden',
                                                    'hidden'))):
    keras.utils.set_random_seed(0)
    student = classifier()
    distiller = Distiller(classifier(), student, loss)
    distiller.compile(
        optimizer=keras.optimizers.SGD(0.),  # nothing is learned
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    outputs, was = student.predict(images, verbose=0), mean(student)
    for _ in range(5):
        distiller.evaluate(images, labels, verbose=0)
    moved = abs(mean(student) - was).max()
    changed = abs(student.predict(images, verbose=0) - outputs).max()
    was = mean(student)
    distiller.fit(images, labels, batch_size=64, epochs=1, verbose=0)
    print(f'{name}: five evaluations move the statistics by {moved:.3f} and '
          f'the outputs by {changed:.3f}; a step of training moves the former '
          f'by {abs(mean(student) - was).max():.3f}')
    assert (changed == 0) == (moved == 0) == (name == 'logits')
PYTHON
echo "as described"
