# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The entries of the hook's ``distill`` field."""
import copy
import inspect
from typing import List, NamedTuple, Optional, Sequence, Union

from mmengine.registry import MODELS
from torch import nn

from mmw2s.models.losses import DistillationLoss, KDLoss
from mmw2s.registry import KNOWLEDGE, SCHEDULES, STOP_RULES
from mmw2s.utils.building import (check_config, check_fields, find_class,
                                  owned_by)
from mmw2s.utils.fields import check_number, check_text
from .auto_weight import AutoWeight
from .knowledge import Knowledge
from .module_share import ModuleShareWeight
from .recipes import default_temperature
from .schedules import Schedule, refuse_no_strength
from .stop_rules import StopRule

__all__ = ['PREFIX', 'Term', 'build_terms', 'refuse_misfit']

#: Of the keys of all distillation losses.
PREFIX = 'loss_kd_'

# A loss for each value of Knowledge.gives, for messages.
_FITTING = {
    'softmax scores': 'KDLoss',
    'sigmoid scores': 'QualityFocalKDLoss',
    'feature maps': 'PKDLoss',
    'feature maps with boxes': 'FGDLoss',
    'box deltas': 'BoxKDLoss'
}


class Term(NamedTuple):
    """One entry of the hook's ``distill``: a knowledge with its loss.

    Attributes:
        key (str): Its name in the student's loss dict ("loss_kd_fpn").
        knowledge (Knowledge): What is transferred.
        loss (nn.Module): How it is compared.
        auto_weight (AutoWeight or ModuleShareWeight, optional): Weights the
            loss, if its ``loss_weight`` is ``'auto'``.
        temperature (Schedule, optional): Temperature of the loss. None: the
            loss's own.
        schedule (Schedule, optional): Its share of the strength of the whole.
            None: all of it.
        stop (StopRule, optional): Ends this entry alone. None: it ends with
            the whole.
    """
    key: str
    knowledge: Knowledge
    loss: nn.Module
    auto_weight: Union[AutoWeight, ModuleShareWeight, None]
    temperature: Optional[Schedule]
    schedule: Optional[Schedule] = None
    stop: Optional[StopRule] = None

    @property
    def name(self) -> str:
        """The key without its prefix and its group ("fpn")."""
        return self.key[len(PREFIX):].rpartition('/')[2]

    def share(self, iteration: int) -> float:
        """The factor of the strength of the whole in an iteration.

        It is 0 if the loss has a weight of 0, so that nothing runs for it.
        """
        if self.weighs_nothing:
            return 0.
        return 1. if self.schedule is None else self.schedule.value(iteration)

    @property
    def weighs_nothing(self) -> bool:
        """Whether its loss has a ``loss_weight`` of 0."""
        return getattr(self.loss, 'loss_weight', 1) == 0

    def state_dict(self) -> dict:
        """What its parts have learned, as plain numbers and tensors."""
        state: dict = {}
        for part in self._learning():
            state.update(part.state_dict())
        return state

    def load_state_dict(self, state: dict) -> None:
        """Restore a state; what other parts have saved is ignored."""
        for part in self._learning():
            if state.keys() >= part.state_dict().keys():
                part.load_state_dict(state)

    def _learning(self) -> list:
        parts = (self.auto_weight, self.temperature, self.knowledge.adapters)
        return [part for part in parts if hasattr(part, 'state_dict')]


def build_terms(cfgs: Sequence[dict],
                path: str = 'WeakTeacherDistillHook.distill',
                group: str = '') -> List[Term]:
    """Build the entries of the hook's ``distill`` field.

    An entry has the fields

    - ``knowledge``: config of a registered knowledge.
    - ``loss``: config of a loss in ``MODELS``. With ``loss_weight='auto'`` it
      is held at a share of the task loss.
    - ``name`` (optional): the log has the loss as ``loss_kd_<name>``.
    - ``temperature`` (optional): config of a schedule. A ``KDLoss`` without
      any temperature gets one from 6 to 1 over the first half of the run.
    - ``auto_ratio`` (optional): the share, by default 0.5.
    - ``auto_module`` (optional): a module of the student. The share is then
      that of its gradient in the whole student's, by default 0.05.
    - ``schedule`` (optional): config of a schedule, a factor of the strength
      of the whole. While it is 0, nothing runs for the entry.
    - ``stop`` (optional): config of a rule that ends this entry alone.

    Args:
        cfgs (Sequence[dict]): The entries.
        path (str): Path of the field in the config, for messages.
        group (str): Put before the names. Defaults to ``''``.

    Returns:
        list[Term]: One for each entry, with different keys.

    Raises:
        KeyError, TypeError, ValueError: The message has the path of the field
            that is wrong.

    Examples:
        >>> terms = build_terms([dict(
        >>>     knowledge=dict(type='FPNFeatures'),
        >>>     loss=dict(type='PKDLoss', loss_weight=10.))])
    """
    if isinstance(cfgs, dict):
        raise TypeError(f'{path} should be a list of entries, but got a '
                        'dict: put it in brackets')
    if not isinstance(cfgs, (list, tuple)):
        raise TypeError(f'{path} should be a list of entries, dicts with '
                        f'"knowledge" and "loss", but got {cfgs!r}')
    terms: List[Term] = []
    for i, cfg in enumerate(cfgs):
        owner = f'{path}[{i}]'
        if not isinstance(cfg, dict):
            raise TypeError(f'{owner} should be a dict with "knowledge" and '
                            f'"loss", but got {cfg!r}')
        check_fields(owner, cfg,
                     ('knowledge', 'loss', 'name', 'temperature', 'auto_ratio',
                      'auto_module', 'schedule', 'stop'))
        for field in ('knowledge', 'loss'):
            if field not in cfg:
                raise ValueError(f'{owner} should have the field "{field}", '
                                 f'but has {", ".join(cfg) or "none"}')
        knowledge = KNOWLEDGE.build(
            cfg['knowledge'], owner=f'{owner}.knowledge')
        if 'name' in cfg:
            check_text(f'{owner}.name', cfg['name'])
        name = cfg.get('name', knowledge.name)
        if '/' in name:
            raise ValueError(
                f'{owner}: its name should have no "/", but is {name!r}')
        key = f'{PREFIX}{group}{name}'
        taken = [term.key for term in terms]
        if key in taken:
            if 'name' in cfg:
                raise ValueError(f'{owner}.name: {cfg["name"]!r} is taken')
            key = next(f'{key}_{n}' for n in range(2,
                                                   len(cfgs) + 1)
                       if f'{key}_{n}' not in taken)
        term = Term(key, knowledge, *_build_loss(owner, cfg),
                    *_build_span(owner, cfg, key))
        with owned_by(owner):
            refuse_misfit(term)
        terms.append(term)
    if not terms:
        raise ValueError(f'{path} should name at least one knowledge and its '
                         'loss, but is empty')
    return terms


def refuse_misfit(term: Term) -> None:
    """Refuse a loss or a temperature that does not fit the knowledge.

    Called again after :meth:`Knowledge.bind`, because some knowledge knows
    only then what it gives.

    Raises:
        ValueError: The message names what would fit.
    """
    knowledge, loss = term.knowledge, term.loss
    compares = getattr(loss, 'compares', None)
    unknown = None in (compares, knowledge.gives) and not knowledge.strict
    if compares != knowledge.gives and not unknown:
        raise ValueError(
            f'{term.key}: {type(loss).__name__} compares '
            f'{compares or "tensors of any kind"}, but '
            f'{type(knowledge).__name__} gives {knowledge.gives}: use a loss '
            f'for those, such as {_FITTING.get(knowledge.gives, "your own")}')
    if knowledge.gives_target:
        return
    without = ('a loss without them, such as KDLoss (or QualityFocalKDLoss '
               'for sigmoid scores)')
    for part, instead in ((loss, without), (term.temperature,
                                            'another schedule')):
        if getattr(part, 'needs_target', False):
            raise ValueError(
                f'{term.key}: {type(part).__name__} needs labels, but '
                f'{type(knowledge).__name__} gives none: use {instead}')


def _build_loss(owner: str, cfg: dict):
    if not isinstance(cfg['loss'], dict) or 'type' not in cfg['loss']:
        raise TypeError(f'{owner}.loss should be a dict with the key "type", '
                        f'but got {cfg["loss"]!r}')
    loss_cfg = copy.deepcopy(dict(cfg['loss']))
    auto_weight = None
    if loss_cfg.get('loss_weight') == 'auto':
        loss_cfg['loss_weight'] = 1.
        auto_weight = _build_auto_weight(owner, cfg)
    for name in ('auto_ratio', 'auto_module'):
        if name in cfg and auto_weight is None:
            raise ValueError(f'{owner}.{name} has no effect unless the loss '
                             'has loss_weight="auto"')
    known = (name for name, cls in MODELS.module_dict.items()
             if isinstance(cls, type) and issubclass(cls, DistillationLoss))
    # In the scope of the run, which is where it is built.
    with MODELS.switch_scope_and_registry(loss_cfg.get('_scope_')) as registry:
        with owned_by(f'{owner}.loss'):
            loss_cls = find_class('a registered loss', loss_cfg['type'],
                                  registry, known)
    name = getattr(loss_cls, '__name__', str(loss_cls))
    with owned_by(f'{owner}.loss', name):
        check_config(name, loss_cls, loss_cfg)
        loss = MODELS.build(loss_cfg)
        _refuse_no_loss(name, loss)
    temperature = cfg.get('temperature')
    if temperature is None and isinstance(loss, KDLoss) and \
            'temperature' not in loss_cfg:
        temperature = default_temperature()
    if temperature is not None:
        if getattr(loss, 'temperature', 0) is None:
            raise ValueError(f'{owner}.temperature has no effect: '
                             f'{type(loss).__name__} has no temperature')
        temperature = SCHEDULES.build(
            temperature, owner=f'{owner}.temperature')
        if temperature.follows_rows:
            raise ValueError(
                f'{owner}.temperature: {type(temperature).__name__} is a '
                'strength that reaches 0, and no temperature: use another '
                'schedule')
    return loss, auto_weight, temperature


def _build_auto_weight(owner: str,
                       cfg: dict) -> Union[AutoWeight, ModuleShareWeight]:
    module = cfg.get('auto_module')
    ratio = cfg.get('auto_ratio', 0.5 if module is None else 0.05)
    check_number(
        f'{owner}.auto_ratio',
        ratio,
        above=0,
        below=None if module is None else 1)
    if module is None:
        return AutoWeight(ratio)
    check_text(f'{owner}.auto_module', module, 'the name of a module')
    return ModuleShareWeight(module, ratio)


def _build_span(owner: str, cfg: dict, key: str):
    """How strongly, and until when, where an entry has its own answers."""
    schedule, stop = cfg.get('schedule'), cfg.get('stop')
    if schedule is not None:
        schedule = SCHEDULES.build(schedule, owner=f'{owner}.schedule')
        refuse_no_strength(f'{owner}.schedule', schedule)
    if stop is not None:
        stop = STOP_RULES.build(stop, owner=f'{owner}.stop')
        stop.entry = key
    return schedule, stop


def _refuse_no_loss(name: str, loss: nn.Module) -> None:
    """Refuse a loss that the distiller cannot call."""
    given = dict(weight=None, avg_factor=None, temperature=None)
    try:
        # A module's __call__ takes anything.
        inspect.signature(getattr(loss, 'forward',
                                  loss)).bind(None, None, **given)
    except (TypeError, ValueError):
        raise TypeError(
            f'{name} should be a loss, called with (student, teacher, weight, '
            'avg_factor, temperature), but takes other arguments') from None
