# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What a user of a pair may ask for."""
from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Sequence

from mmw2s.records.operating_band import LOW
from mmw2s.utils.fields import check_choice, check_number, check_seed

__all__ = ['AUTO', 'STARTS', 'TEACHES', 'Options']

#: As it fits, or as it is best known to be.
AUTO = 'auto'
STARTS = (AUTO, 'Inherit', 'Grow', 'Corner', 'none')
TEACHES = (AUTO, 'yes', 'no')


@dataclass
class Options:
    """What a user asks for; the command ``mmw2s pair --help`` tells each."""
    student: str
    work_dir: str
    teacher: Optional[str] = None
    teacher_checkpoint: Optional[str] = None
    teacher_width: Optional[float] = None
    teacher_scale: float = 1.
    teacher_length: Optional[float] = None
    teacher_cfg_options: Dict[str, Any] = field(default_factory=dict)
    useful_at: float = LOW
    best: Optional[float] = None
    start: str = AUTO
    teach: str = AUTO
    student_length: float = 1.
    student_lr: Optional[float] = None
    seeds: Sequence[int] = (0, )
    with_baseline: bool = False
    baseline: Sequence[str] = ()
    metric: Optional[str] = None
    rule: Optional[str] = None
    cfg_options: Dict[str, Any] = field(default_factory=dict)
    gpus: int = 1

    def check(self) -> None:
        """Refuse values that are always wrong.

        Raises:
            ValueError: If a value is. The message names the option.
        """
        highest = dict(
            teacher_width=1,
            teacher_scale=1,
            teacher_length=1,
            student_length=1,
            student_lr=None)
        for name, at_most in highest.items():
            if getattr(self, name) is not None:
                check_number(
                    f'--{name.replace("_", "-")}',
                    getattr(self, name),
                    above=0,
                    at_most=at_most)
        check_number('--useful-at', self.useful_at, above=0)
        if self.best is not None:
            check_number('--best', self.best, above=0)
        check_choice('--start', self.start, STARTS)
        check_choice('--teach', self.teach, TEACHES)
        for seed in self.seeds:
            check_seed('--seeds', seed)
        if not self.seeds or len({*self.seeds}) < len(self.seeds):
            raise ValueError('--seeds should name each seed once, but got '
                             f'{" ".join(map(str, self.seeds)) or "none"}')
        if self.with_baseline and self.baseline:
            raise ValueError('--with-baseline trains the baselines, and '
                             '--baseline names those that exist: give one')
