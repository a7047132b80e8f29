# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""A denoiser that begins as its whole teacher, in a run."""
import pytest
import torch
from mmengine.hooks import Hook
from runs import rows, train
from tiny_diffusion import build, diffusion, run_config

WEAK = diffusion(8)
STRONG = diffusion(16, denoiser=dict(layers_per_block=2))
TRANSFORMER = dict(
    type='diffusers.DiTTransformer2DModel',
    num_attention_heads=2,
    attention_head_dim=4,
    in_channels=1,
    sample_size=8,
    num_embeds_ada_norm=10)


def dit(layers):
    cfg = diffusion(classes=10)
    cfg['denoiser'] = dict(TRANSFORMER, num_layers=layers)
    return cfg


class FirstStep(Hook):
    """The batch of the first step, its random numbers and its losses."""

    priority = 'VERY_LOW'

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 0:
            self.batch, self.state = data_batch, torch.get_rng_state()

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        if runner.iter == 0:
            self.loss = outputs['loss_denoising'].detach()


@pytest.fixture
def run(tmp_path):

    def run(student, teacher, iters=1, **fields):
        model = build(teacher, 1)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():  # some layers begin at 0
            for p in model.parameters():
                p += 0.1 * torch.randn(p.shape, generator=generator)
        path = str(tmp_path / 'teacher.pth')
        torch.save(dict(state_dict=model.state_dict()), path)
        hook = dict(
            type='WeakTeacherDistillHook',
            teacher=dict(config=dict(model=teacher), checkpoint=path),
            start=dict(type='Grow'),
            **fields)
        step = FirstStep()
        train(run_config(tmp_path / 'run', iters, [hook], student), step)
        return model, step

    return run


def loss_of(model, step):
    """A model's own loss of a step's batch, noise and timesteps."""
    torch.set_rng_state(step.state)
    data = model.data_preprocessor(step.batch, True)
    return model(**data, mode='loss')['loss_denoising'].detach()


@pytest.mark.parametrize('student, teacher', [(STRONG, WEAK),
                                              (dit(3), dit(2))])
def test_the_first_loss_is_the_teachers_own(run, tmp_path, student, teacher):
    model, step = run(student, teacher, distill=[])
    torch.testing.assert_close(
        step.loss, loss_of(model, step), rtol=1e-5, atol=0)
    fresh = loss_of(build(student), step)
    assert abs(fresh - step.loss) > 0.01 * step.loss
    row, = rows(tmp_path / 'run', 'start')
    assert row['type'] == 'Grow' and 0.2 < row['share'] <= 1


def test_it_is_distilled_from_then_on(run, tmp_path):
    model, step = run(STRONG, WEAK, 4)
    torch.testing.assert_close(
        step.loss, loss_of(model, step), rtol=1e-5, atol=0)


@pytest.mark.parametrize('student, message', [
    (diffusion(12),
     r'denoiser: the student has 12 channels .*, the teacher 8'),
    (diffusion(8, kind='v_prediction'), 'prediction_type is v_prediction'),
    (diffusion(8, schedule=dict(beta_end=0.1)), 'its noise schedule is not'),
    (diffusion(8, classes=10), 'its num_classes is 10, the teacher\'s None'),
    (diffusion(8, denoiser=dict(norm_num_groups=2)),
     'denoiser: its norm_num_groups is 2'),
])
def test_what_should_compute_something_else_is_refused(run, student, message):
    with pytest.raises(ValueError, match=f'start=Grow: .*{message}'):
        run(student, WEAK, distill=[])
