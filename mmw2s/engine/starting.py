# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import Optional

from mmengine.logging import print_log
from mmengine.runner import Runner

from mmw2s.distillation.starts import Started
from mmw2s.distillation.starts.free_scale import warn_of_free_scale
from mmw2s.records.event_log import RunRecord
from mmw2s.registry import STARTS
from mmw2s.utils.unwrap_model import unwrap_model
from .assembly import Assembly
from .start_watch import compare_with_baseline

__all__ = ['Starting']


class Starting:
    """The start of a student, until its first validation after it.

    Attributes:
        started (Started, optional): What the student took over. None before,
            and in a resumed run.
        kind (str): Name of the class of the start. Empty before.
        waits (bool): Whether the first validation is still to come. It goes
            into the checkpoint.
    """

    def __init__(self) -> None:
        self.started: Optional[Started] = None
        self.kind = ''
        self.waits = False

    def __str__(self) -> str:
        return f'start={self.kind}: {self.started}.'

    def apply(self, runner: Runner, start: dict, made: Assembly,
              record: RunRecord) -> None:
        """Let the student begin with weights of its teacher.

        Args:
            runner (Runner): The run, before its first iteration.
            start (dict): Config of the start.
            made (Assembly): The teacher, and what is distilled.
            record (RunRecord): Where it is noted.

        Raises:
            ValueError: If the two models do not fit.
        """
        student = unwrap_model(runner.model)
        built = STARTS.build(start)
        self.started = built.apply(student, made.teacher, made.other_classes)
        self.waits = True
        # Not the `type` of the config, which may be a class.
        self.kind = type(built).__name__
        record.append(
            'start',
            runner.iter,
            type=self.kind,
            tensors=self.started.count,
            share=self.started.share,
            class_rows=self.started.rows)
        print_log(str(self), logger='current')
        if made.distiller is not None:
            warn_of_free_scale(student, self.started, made.distiller.terms)

    def compare(self, runner: Runner, validation: dict, record: RunRecord,
                rule: Optional[str]) -> None:
        """Compare the first score after the start with the baseline's.

        Args:
            runner (Runner): The run.
            validation (dict): The event of the validation.
            record (RunRecord): Where it is noted.
            rule (str, optional): Which scores are better, if the stop rule
                knows.
        """
        if not self.waits:
            return
        self.waits = False
        teacher, = record.of('teacher')
        compared = compare_with_baseline(runner.work_dir, validation,
                                         teacher.get('metric'), rule)
        if compared is not None:
            record.append('baseline', runner.iter, **compared)
