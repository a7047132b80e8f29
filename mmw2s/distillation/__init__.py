# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from mmw2s.records.event_log import RunRecord
from . import knowledge, schedules, starts, stop_rules
from .distiller import Distiller
from .module_classifier import ModuleClassifier
from .recorder import Recorder
from .teacher import FrozenTeacher

__all__ = [
    'Distiller', 'FrozenTeacher', 'ModuleClassifier', 'Recorder', 'RunRecord',
    'knowledge', 'schedules', 'starts', 'stop_rules'
]
