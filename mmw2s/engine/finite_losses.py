# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Check that losses and gradients are finite, without a device sync."""
import math
from typing import Dict, Optional

from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from mmw2s.distillation.terms import PREFIX

__all__ = ['FiniteLosses', 'has_loss_scaler']


def has_loss_scaler(optim_wrapper: OptimWrapper) -> bool:
    """Whether a loss scaler skips steps that overflow."""
    scaler = getattr(optim_wrapper, 'loss_scaler', None)
    if scaler is None:  # apex has one, but hides it
        return type(optim_wrapper).__name__ == 'ApexOptimWrapper'
    return scaler.is_enabled()


class FiniteLosses:
    """Ends a run whose losses the distillation has made infinite or NaN.

    It reads numbers that are on the host already: losses from MMEngine's
    ``RuntimeInfoHook`` and the norm of clipped gradients. So nothing waits for
    the device. In a run without that hook it does nothing, and says so once.
    """

    def __init__(self) -> None:
        #: Whether a step was, in which all was finite.
        self.were_finite = False
        self._told = False

    def check(self, runner: Runner, outputs: dict,
              loss_is_a_sum: bool) -> None:
        """Check a step in which something is not finite.

        Args:
            runner (Runner): The run, after the step.
            outputs (dict): The losses that ``train_step`` has returned.
            loss_is_a_sum (bool): Whether ``loss`` is the sum of all losses,
                those of the distillation included.

        Raises:
            FloatingPointError: If a distillation loss is not finite, but the
                student's own losses are. Without a loss scaler, also if the
                gradient is not finite but all losses are, or if distillation
                losses are not finite after a step in which all were.
        """
        if not any(key.startswith(PREFIX) for key in outputs):
            return
        losses = self._on_host(runner, outputs)
        if losses is None:
            return
        broken = {k for k, loss in losses.items() if not math.isfinite(loss)}
        distilled = {key for key in broken if key.startswith(PREFIX)}
        gradient = self._gradient(runner)
        sums = {'loss'} if loss_is_a_sum else set()
        if distilled and not broken - distilled - sums:
            what = (
                f'{", ".join(sorted(distilled))} is not finite at iteration '
                f'{runner.iter + 1}, the student\'s own losses are')
        elif has_loss_scaler(runner.optim_wrapper):
            return
        elif not broken and not math.isfinite(gradient):
            what = ('The gradient is not finite at iteration '
                    f'{runner.iter + 1}, but all losses are')
        elif distilled and self.were_finite:
            what = (f'{", ".join(sorted(broken))} are not finite at iteration '
                    f'{runner.iter + 1}: by the step before, whose losses '
                    'were finite, the student\'s weights are not any more')
        else:
            self.were_finite = self.were_finite or not broken
            return
        raise FloatingPointError(
            f'{what}. Look at teacher.precision, at the loss and at the '
            'learning rate; the latest checkpoint is untouched')

    def _on_host(self, runner: Runner,
                 outputs: dict) -> Optional[Dict[str, float]]:
        scalars = runner.message_hub.log_scalars
        names = [key for key in outputs if 'loss' in key]
        if all(f'train/{name}' in scalars for name in names):
            return {name: scalars[f'train/{name}'].current() for name in names}
        if not self._told:
            self._told = True
            print_log(
                'The run has no RuntimeInfoHook (default_hooks.runtime_info), '
                'which brings losses to the host: they are not looked at, and '
                'go on if they are not finite.',
                logger='current')
        return None

    @staticmethod
    def _gradient(runner: Runner) -> float:
        """Norm of the gradient if it is clipped, otherwise 0."""
        name = getattr(runner.optim_wrapper, 'grad_name', 'grad_norm')
        norm = runner.message_hub.log_scalars.get(f'train/{name}')
        return 0. if norm is None else norm.current()
