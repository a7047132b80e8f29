# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The registries of mmw2s.

Hooks, losses, data sets and metrics are registered in MMEngine's own root
registries, so that they are found from every OpenMMLab scope by their bare
name. MMEngine has no registry for the other three questions, so they are here:
*what* is transferred (:data:`KNOWLEDGE`), *how strongly* (:data:`SCHEDULES`)
and *until when* (:data:`STOP_RULES`). A recipe (:data:`RECIPES`) gives the
answers that a config leaves out.
"""
from mmengine.registry import Registry

from mmw2s.utils.building import build_checked

__all__ = ['KNOWLEDGE', 'RECIPES', 'SCHEDULES', 'STOP_RULES']

KNOWLEDGE = Registry(
    'knowledge',
    scope='mmw2s',
    build_func=build_checked,
    locations=['mmw2s.distillation.knowledge'])
RECIPES = Registry(
    'recipe',
    scope='mmw2s',
    build_func=build_checked,
    locations=['mmw2s.distillation.recipes'])
SCHEDULES = Registry(
    'schedule',
    scope='mmw2s',
    build_func=build_checked,
    locations=['mmw2s.distillation.schedules'])
STOP_RULES = Registry(
    'stop rule',
    scope='mmw2s',
    build_func=build_checked,
    locations=['mmw2s.distillation.stop_rules'])
