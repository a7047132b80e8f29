# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What was fixed before the first run of a study, and what was changed later.
"""
import hashlib
import json
import os
import os.path as osp
import time
from dataclasses import asdict
from typing import Any, Dict, List, Optional

from mmengine.utils import get_git_hash

from mmw2s.utils.files import atomic_write
from mmw2s.utils.flat import differences, flat
from mmw2s.utils.text import listed
from mmw2s.utils.versions import installed_versions
from mmw2s.version import __version__
from .arms import TEACHER
from .plan import CONFIGS, TEACHERS, Plan

__all__ = ['FILE', 'Changed', 'Frozen', 'freeze']

FILE = 'study.json'
_SHOWN = 5  # differences that a message lists
# What the training of the teacher, and its choice, depend on.
_TRAINS = {'config', 'cfg_options'}
_CHOOSES = {'checkpoint', 'useful_at', 'metric', 'rule'}


class Changed(ValueError):
    """A study is not what it was when its first run began."""


class Frozen:
    """The file ``study.json``: a study as it was fixed, and its amendments.

    Args:
        content (dict): What the file holds.
    """

    def __init__(self, content: Dict[str, Any]) -> None:
        self.content = content

    @property
    def amendments(self) -> List[Dict[str, Any]]:
        """Changes after the first run began: ``when``, ``why``, ``hash`` and
        ``changes``."""
        return self.content['amendments']

    def lines(self) -> List[str]:
        """When and as what it was fixed, and each amendment, in sentences."""
        found = [
            f'Fixed on {self.content["when"]} as '
            f'{self.content["hash"][:12]}, before the first run (git '
            f'{self.content["git"]}, mmw2s '
            f'{self.content["versions"]["mmw2s"]}).'
        ]
        for one in self.amendments:
            found.append(f'AMENDED on {one["when"]} as {one["hash"][:12]}: '
                         f'"{one["why"]}". {listed(one["changes"], _SHOWN)}.')
        return found


def freeze(plan: Plan, amend: Optional[str] = None) -> Frozen:
    """Fix a study before its first run, or find that it is what was fixed.

    Targets, arms, seeds and the whole configs count. Data and the code of the
    installed packages do not; their versions and the git hash are noted.

    Args:
        plan (Plan): The study.
        amend (str, optional): Why it is changed. Defaults to None: a change
            is refused.

    Raises:
        Changed: If the study was changed and there is no reason given, or to
            a teacher that cannot be had while there is the one of before.
    """
    path = plan.path(FILE)
    fixed = _fixed(plan)
    if not osp.isfile(path):
        content = dict(
            when=_now(),
            hash=_hash(fixed),
            git=get_git_hash(fallback='', digits=12) or 'unknown',
            versions=dict(installed_versions(), mmw2s=__version__),
            fixed=fixed,
            amendments=[])
        _write_configs(plan)
        _write(path, content)
        return Frozen(content)
    with open(path, encoding='utf-8') as file:
        content = json.load(file)
    changes = differences(content['fixed'], fixed)
    if not changes:
        return Frozen(content)
    if not amend:
        raise Changed(
            f'the study in {plan.work_dir} was fixed before its first run, '
            f'and has changed since: {listed(changes, _SHOWN)}. Take it back, '
            'give another --work-dir, or say why: --amend "..." is shown in '
            'every result')
    _refuse_another_teacher(plan, content['fixed'], fixed)
    content['amendments'].append(
        dict(when=_now(), why=amend, hash=_hash(fixed), changes=changes))
    content['fixed'] = fixed
    _write_configs(plan)
    _write(path, content)
    return Frozen(content)


def _refuse_another_teacher(plan: Plan, before: Dict[str, str],
                            now: Dict[str, str]) -> None:
    """Refuse another teacher where that of before would go on teaching."""
    differing = [
        key for key in {
            **before,
            **now
        } if before.get(key) != now.get(key)
    ]
    changed = {_of_teacher(key) for key in differing} - {''}
    kept = [TEACHERS] if changed & (_CHOOSES | _TRAINS) else []
    kept += ['teacher_training'] if changed & _TRAINS else []
    kept = [name for name in kept if osp.isdir(plan.path(name))]
    if kept:
        raise Changed(
            'the amendment changes what the teacher comes from ('
            f'{", ".join(sorted(changed))}), but {" and ".join(kept)} in '
            f'{plan.work_dir} has what was made before, which would go on '
            'teaching: move it away, and the runs that it has taught if they '
            'are to be trained again')


def _of_teacher(key: str) -> str:
    """The field of the teacher that a dotted name belongs to, or ''."""
    if key in ('study.metric', 'study.rule'):
        return key[len('study.'):]
    if key.startswith('study.teacher.'):
        return key.split('.')[2]
    # Its hooks say what is written, and when it ends.
    is_trained = key.startswith(f'config.{TEACHER}.') and \
        not key.startswith(f'config.{TEACHER}.default_hooks.')
    return 'config' if is_trained else ''


def _fixed(plan: Plan) -> Dict[str, str]:
    """All that decides over the runs and over what they show."""
    asked = asdict(plan.study)
    # More time is no other study.
    asked.pop('budget')
    found = flat('study', asked)
    for name, cfg in plan.configs.items():
        found.update(flat(f'config.{name}', cfg.to_dict()))
    # The folder may be moved.
    folder = plan.path()
    return {key: text.replace(folder, '.') for key, text in found.items()}


def _hash(fixed: Dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(fixed,
                                     sort_keys=True).encode()).hexdigest()


def _now() -> str:
    return time.strftime('%Y-%m-%d %H:%M:%S')


def _write_configs(plan: Plan) -> None:
    os.makedirs(plan.path(CONFIGS), exist_ok=True)
    for name, cfg in plan.configs.items():
        cfg.dump(plan.config_path(name))


def _write(path: str, content: Dict[str, Any]) -> None:
    # Last of all: where it lies, the configs are whole.
    with atomic_write(path) as file:
        json.dump(content, file, indent=1)
