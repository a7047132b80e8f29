# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import pytest
import torch
import toys
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from tiny_two_stage import faster_rcnn

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason='mmcv has no bfloat16 kernels on CUDA')


@pytest.fixture
def detector():
    DefaultScope.get_instance('toys', scope_name='mmdet')
    torch.manual_seed(0)
    return MODELS.build(toys.retinanet())


def train_step(model, kind):
    wrapper = build_optim_wrapper(
        model, dict(type=kind, optimizer=dict(type='SGD', lr=0.)))
    data = demo_mm_inputs(2, [[3, 64, 64]] * 2, num_classes=2)
    return model.train_step(data, wrapper), wrapper


def test_a_retinanet_trains_in_bfloat16_to_nearly_the_same_loss(detector):
    seen = []
    detector.neck.register_forward_hook(
        lambda module, args, out: seen.append(out[0].dtype))
    detector.backbone.eval()
    full, _ = train_step(detector.train(), 'OptimWrapper')
    half, _ = train_step(detector, 'BF16OptimWrapper')
    assert seen == [torch.float32, torch.bfloat16]
    assert half['loss'].dtype == torch.float32
    torch.testing.assert_close(half['loss'], full['loss'], rtol=0.05, atol=0.)


def test_parameters_and_gradients_stay_float32(detector):
    train_step(detector, 'BF16OptimWrapper')
    for parameter in detector.parameters():
        assert parameter.dtype == torch.float32
        if parameter.grad is not None:
            assert parameter.grad.dtype == torch.float32
            assert torch.isfinite(parameter.grad).all()


def test_validation_stays_float32(detector):
    _, wrapper = train_step(detector, 'BF16OptimWrapper')
    assert not torch.is_autocast_enabled('cpu')
    with torch.no_grad():
        feature = detector.extract_feat(torch.zeros(1, 3, 64, 64))[0]
    assert feature.dtype == torch.float32


def test_the_checkpoint_of_the_optimizer_is_that_of_a_plain_one(detector):
    _, plain = train_step(detector, 'OptimWrapper')
    _, wrapper = train_step(detector, 'BF16OptimWrapper')
    assert wrapper.state_dict().keys() == plain.state_dict().keys()


def test_operators_without_bfloat16_are_refused_before_the_first_forward(
        detector):
    two_stage = MODELS.build(faster_rcnn())
    two_stage.register_forward_pre_hook(lambda *_: pytest.fail('called'))
    with pytest.raises(ValueError, match='RoIAlign.*use OptimWrapper'):
        train_step(two_stage, 'BF16OptimWrapper')


def test_a_cpu_that_would_emulate_it_trains_in_float32_and_says_so(
        detector, monkeypatch, warned):
    monkeypatch.setattr('mmw2s.engine.optim_wrapper.emulates_bfloat16',
                        lambda: True)
    detector.backbone.eval()
    half, wrapper = train_step(detector.train(), 'BF16OptimWrapper')
    assert wrapper.cast_dtype is torch.float32
    assert 'has no instructions for bfloat16' in warned[-1]
    full, _ = train_step(detector, 'OptimWrapper')
    torch.testing.assert_close(half['loss'], full['loss'], rtol=0., atol=0.)
    train_step(MODELS.build(faster_rcnn()), 'BF16OptimWrapper')


def test_it_is_found_by_the_name_of_the_package_too(detector):
    _, wrapper = train_step(detector, 'mmw2s.BF16OptimWrapper')
    assert type(wrapper).__name__ == 'BF16OptimWrapper'
