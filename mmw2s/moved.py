# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Import paths of earlier versions, which go on working for one version.

The two tables below are all that there is: a module, or a name in a module,
and where it is now. An old path gives the very object of the new one, with a
``DeprecationWarning``.
"""
import importlib
import sys
import warnings
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Dict, Optional

__all__ = ['MODULES', 'NAMES', 'install']

# yapf: disable
#: Old module -> new module.
MODULES = {
    'mmw2s.analysis.operating_band': 'mmw2s.records.operating_band',
    'mmw2s.analysis.record': 'mmw2s.records.files',
    'mmw2s.analysis.run_facts': 'mmw2s.engine.run_facts',
    'mmw2s.analysis.targets': 'mmw2s.records.targets',
    'mmw2s.cache': 'mmw2s.utils.cache',
    'mmw2s.compatibility': 'mmw2s.utils.versions',
    'mmw2s.datasets.bccd': 'mmw2s.datasets.converters.bccd',
    'mmw2s.datasets.cifar10': 'mmw2s.datasets.converters.cifar10',
    'mmw2s.datasets.digit_scenes': 'mmw2s.datasets.converters.digit_scenes',
    'mmw2s.distillation.capture': 'mmw2s.distillation.recorder',
    'mmw2s.distillation.checkpoint': 'mmw2s.utils.checkpoint',
    'mmw2s.distillation.default_weights':
    'mmw2s.distillation.recipes.head_weights',
    'mmw2s.distillation.defaults': 'mmw2s.distillation.recipes',
    'mmw2s.distillation.dynamic_temperature':
    'mmw2s.distillation.schedules',
    'mmw2s.distillation.knowledge.classification':
    'mmw2s.distillation.knowledge',
    'mmw2s.distillation.record': 'mmw2s.records.event_log',
    'mmw2s.distillation.rng': 'mmw2s.utils.rng',
    'mmw2s.distillation.score_cache': 'mmw2s.engine.score_cache',
    'mmw2s.distillation.scoring': 'mmw2s.engine.scoring',
    'mmw2s.distillation.stopwatch': 'mmw2s.utils.timing',
    'mmw2s.distillation.teacher_view': 'mmw2s.distillation.teacher_outputs',
    'mmw2s.engine.benchmark': 'mmw2s.profiling.benchmark',
    'mmw2s.engine.clock': 'mmw2s.utils.timing',
    'mmw2s.engine.dry_run': 'mmw2s.profiling.dry_run',
    'mmw2s.engine.inner_model': 'mmw2s.utils.unwrap_model',
    'mmw2s.engine.memory': 'mmw2s.profiling.memory',
    'mmw2s.engine.missed_validation': 'mmw2s.engine.run_log',
    'mmw2s.engine.only_one': 'mmw2s.engine.run_log',
    'mmw2s.engine.rehearsal': 'mmw2s.profiling.rehearsal',
    'mmw2s.engine.step_cost': 'mmw2s.profiling.step_cost',
    'mmw2s.engine.step_times': 'mmw2s.engine.logged_scalars',
    'mmw2s.evaluation.denoising_loss': 'mmw2s.evaluation.denoising_error',
    'mmw2s.models.diffusion.parameterisation':
    'mmw2s.models.diffusion.prediction_type',
}
# yapf: enable

#: Module, as it is called now -> old name in it -> where that is.
NAMES: Dict[str, Dict[str, str]] = {
    'mmw2s.datasets': {
        'write_bccd': 'mmw2s.datasets.converters.write_bccd',
        'write_cifar10': 'mmw2s.datasets.converters.write_cifar10',
        'write_digit_scenes': 'mmw2s.datasets.converters.write_digit_scenes',
    },
    'mmw2s.distillation': {
        'Capture': 'mmw2s.distillation.recorder.Recorder',
    },
    'mmw2s.distillation.class_matching': {
        'check_validation': 'mmw2s.engine.run_classes.check_validation',
        'student_classes': 'mmw2s.engine.run_classes.student_classes',
    },
    'mmw2s.distillation.knowledge': {
        'Captured': 'mmw2s.distillation.knowledge.Recorded',
    },
    'mmw2s.distillation.knowledge.base': {
        'Captured': 'mmw2s.distillation.knowledge.Recorded',
    },
    'mmw2s.distillation.recorder': {
        'Capture': 'mmw2s.distillation.recorder.Recorder',
        'EnoughCaptured': 'mmw2s.distillation.recorder.EnoughRecorded',
    },
    'mmw2s.distillation.teacher_outputs': {
        'TeacherView': 'mmw2s.distillation.teacher_outputs.TeacherOutputs',
    },
    'mmw2s.evaluation': {
        'DenoisingLoss': 'mmw2s.evaluation.denoising_error.DenoisingError',
    },
    'mmw2s.evaluation.denoising_error': {
        'DenoisingLoss': 'mmw2s.evaluation.denoising_error.DenoisingError',
    },
    'mmw2s.models.diffusion.prediction_type': {
        'KINDS': 'mmw2s.models.diffusion.prediction_type.PREDICTION_TYPES',
    },
    'mmw2s.registry': {
        'check_config': 'mmw2s.utils.building.check_config',
        'check_fields': 'mmw2s.utils.building.check_fields',
        'find_class': 'mmw2s.utils.building.find_class',
        'is_kind': 'mmw2s.utils.kinds.is_kind',
        'owned_by': 'mmw2s.utils.building.owned_by',
    },
    'mmw2s.utils.unwrap_model': {
        'inner_model': 'mmw2s.utils.unwrap_model.unwrap_model',
    },
}


def install() -> None:
    """Let the old paths be imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for module, names in NAMES.items():
        _lend(importlib.import_module(module), names)


def _warn(old: str, new: str) -> None:
    # Of the frames of the import system none is counted.
    warnings.warn(
        f'{old} is {new} now; the old path goes with the next version',
        DeprecationWarning,
        stacklevel=3)


def _lend(module: ModuleType, names: Dict[str, str]) -> None:
    """Let a module give names that it no longer has."""

    def __getattr__(name: str) -> Any:
        if name not in names:
            raise AttributeError(
                f'module {module.__name__!r} has no attribute {name!r}')
        _warn(f'{module.__name__}.{name}', names[name])
        home, _, new = names[name].rpartition('.')
        return getattr(importlib.import_module(home), new)

    vars(module)['__getattr__'] = __getattr__


class _Finder(MetaPathFinder):
    """Asked first: an editable installation may find files of another copy."""

    def find_spec(self,
                  fullname: str,
                  path: Any,
                  target: Any = None) -> Optional[ModuleSpec]:
        if fullname not in MODULES:
            return None
        return ModuleSpec(fullname, _Loader())


class _Loader(Loader):

    def exec_module(self, module: ModuleType) -> None:
        """Put the moved module itself in the place of the empty one."""
        old = module.__name__
        _warn(old, MODULES[old])
        sys.modules[old] = importlib.import_module(MODULES[old])

    def get_code(self, fullname: str) -> Any:
        """For ``python -m``."""
        return find_spec(MODULES[fullname]).loader.get_code(MODULES[fullname])
