# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
from mmengine.registry import METRICS

from mmw2s.records.targets import infer_rule


def test_it_is_the_mean_over_all_images():
    metric = METRICS.build(dict(type='DenoisingError'))
    for errors in ([1., 2., 3.], [6.]):
        metric.process(
            None,
            [dict(denoising_error=torch.tensor(error)) for error in errors])
    assert metric.evaluate(4) == {'diffusion/denoising_mse': 3.}


def test_its_name_of_the_first_version_still_works():
    assert METRICS.get('DenoisingLoss') is METRICS.get('DenoisingError')


def test_less_of_it_is_better():
    assert infer_rule('diffusion/denoising_mse') == 'less'


def test_samples_of_another_model_are_refused():
    metric = METRICS.build(dict(type='DenoisingError'))
    with pytest.raises(ValueError, match='denoising_error.*DenoisingDiffu'):
        metric.process(None, [dict(pred_label=1)])
