# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from typing import (Any, Callable, Dict, List, Mapping, NamedTuple, Optional,
                    Sequence, Tuple)

from torch import Tensor, nn

from mmw2s.utils.fields import check_text
from ..recorder import Call, find_module
from ..teacher import FrozenTeacher
from ..teacher_outputs import TeacherOutputs

__all__ = ['Recorded', 'Knowledge', 'Pair']

Recorded = Mapping[str, List[Call]]


class Pair(NamedTuple):
    """What one comparison of a loss is made of.

    Attributes:
        name (str): Where it comes from, for the dry run ("neck[0]").
        student (Tensor): The student's tensor, with gradient.
        teacher (Tensor): The teacher's tensor, of the same shape, without
            gradient.
        weight (Tensor, optional): How much each element, or each sample,
            counts. The loss documents the shape.
        avg_factor (Tensor, optional): Divisor of the loss's sum, 0-dim. None:
            the loss documents what is taken.
        target (Tensor, optional): The labels, for losses that need them:
            class indices (N,), or soft labels (N, C) as mixup gives them.
        adapter (Adapter, optional): One of the knowledge's ``adapters``,
            which brings the student's maps to the teacher's.
    """
    name: str
    student: Tensor
    teacher: Tensor
    weight: Optional[Tensor] = None
    avg_factor: Optional[Tensor] = None
    target: Optional[Tensor] = None
    adapter: Optional[Callable[[Tensor], Tensor]] = None


class Knowledge:
    """*What* is transferred: which outputs of the two models form pairs.

    A subclass names modules of the student and of the teacher, checks before
    training that the two fit (:meth:`check`), keeps what it needs of them
    (:meth:`bind`), and pairs what was recorded (:meth:`pairs`). It knows
    nothing of how a pair is compared.

    Args:
        module (str): Name of the student's module.
        teacher_module (str, optional): Name of the teacher's module.
            Defaults to None: the same name.

    Raises:
        ValueError: If a name is not a text, or is empty.

    Examples:
        >>> @KNOWLEDGE.register_module()
        >>> class StageOutput(Knowledge):
        >>>     name = 'stage'
        >>>
        >>>     def pairs(self, recorded, outputs):
        >>>         calls = zip(recorded[self.module],
        >>>                     outputs[self.teacher_module])
        >>>         return [Pair(self.module, student.output, teacher.output)
        >>>                 for student, teacher in calls]
    """

    #: Short name; the log has the loss as ``loss_kd_<name>``.
    name = 'kd'
    #: Whether pairs are formed class by class, so that both models must have
    #: the same classes in the same order.
    by_class = False
    #: Whether pairs are formed place by place in the image (anchors,
    #: proposals, pixels), so that both models must see it at one size.
    by_place = False
    #: Whether the teacher's module must give what it gives in training.
    training_form = False
    #: Whether the pairs have a ``target``, which some losses need.
    gives_target = False
    #: What the pairs are: ``'softmax scores'``, ``'sigmoid scores'``,
    #: ``'feature maps'``, ``'feature maps with boxes'`` or ``'box deltas'``. A
    #: loss that ``compares`` another is refused. None takes any loss.
    #: :meth:`bind` may set it.
    gives: Optional[str] = None
    #: Whether a loss is refused too that does not say what it ``compares``,
    #: because the pairs' weights have a form of their own.
    strict = False
    #: Trained adapters (:class:`ChannelAdapters`), or None.
    adapters = None

    def __init__(self,
                 module: str,
                 teacher_module: Optional[str] = None) -> None:
        name = type(self).__name__
        check_text(f'{name}.module', module, 'the name of a module')
        if teacher_module is not None:
            check_text(f'{name}.teacher_module', teacher_module,
                       'the name of a module')
        self.module = module
        self.teacher_module = teacher_module or module

    @property
    def student_modules(self) -> Tuple[str, ...]:
        """Modules of the student whose calls :meth:`pairs` is given.

        Asked for after :meth:`bind`. The first must be called in each step.
        """
        return (self.module, )

    @property
    def teacher_modules(self) -> Tuple[str, ...]:
        """Modules of the teacher whose calls :meth:`pairs` asks for."""
        return (self.teacher_module, )

    def modules_of(self, student: nn.Module,
                   teacher: nn.Module) -> Tuple[nn.Module, nn.Module]:
        """The named module in each of the two models.

        Raises:
            ValueError: If a model has no such module, or if one gives the
                maps of an image more often than the other.
        """
        _refuse_other_branches(student, teacher)
        return (find_module(student, self.module, 'student'),
                find_module(teacher, self.teacher_module, 'teacher'))

    def match_classes(self, teacher: FrozenTeacher,
                      classes: Optional[Sequence[str]]) -> None:
        """Reduce a teacher that knows more classes to the student's.

        Called before :meth:`check`. The base class changes nothing.

        Args:
            teacher (FrozenTeacher): The teacher, with its ``classes`` if they
                are known.
            classes (Sequence[str], optional): The student's classes, if they
                are known.
        """

    def check(self, student: nn.Module, teacher: nn.Module) -> None:
        """Refuse, before training, two models that cannot be paired.

        It changes nothing, here or in the models.

        Raises:
            ValueError: The message says what differs and what to do.
        """
        self.modules_of(student, teacher)

    def bind(self, student: nn.Module, teacher: nn.Module) -> None:
        """Keep what :meth:`pairs` needs of two models that fit.

        Called once, after :meth:`check`. The base class keeps nothing.
        """

    def _refuse_difference(self, what: str, student: Any, teacher: Any,
                           why: str) -> None:
        if student != teacher:
            raise ValueError(f'teacher head has {teacher} {what}, the '
                             f'student\'s {student}: {why}')

    def check_temperature(self, temperature: float) -> None:
        """Warn, before training, of a loss's temperature that may harm.

        Args:
            temperature (float): The highest one of the run.
        """

    def calls_needed(self, recorded: Recorded) -> Dict[str, int]:
        """How many calls of which module the teacher's forward must reach.

        It should depend on nothing but how often each module was called.

        Args:
            recorded (Mapping[str, list[Call]]): The student's calls.

        Returns:
            dict[str, int]: Name of a teacher's module -> number of calls.
        """
        return {self.teacher_module: len(recorded[self.module])}

    def pairs(self, recorded: Recorded, outputs: TeacherOutputs) -> List[Pair]:
        """Pair the student's recorded calls with the teacher's.

        Args:
            recorded (Mapping[str, list[Call]]): The student's calls.
            outputs (TeacherOutputs): The teacher on the same batch;
                ``outputs[name]`` has the calls of its module ``name``.

        Returns:
            list[Pair]: What the loss compares, one by one; the results are
            summed.
        """
        raise NotImplementedError(
            f'{type(self).__name__} should define `pairs`')


def _refuse_other_branches(student: nn.Module, teacher: nn.Module) -> None:
    """Refuse branches, as TridentNet has them, that only one model has."""
    trained, predicting = _branches(student, True), _branches(teacher, False)
    if trained == predicting:
        return
    if trained == _branches(teacher, True):
        raise ValueError(
            f'the student trains {trained} branches, each image in each of '
            'them, but the teacher predicts by one: give the teacher '
            'cfg_options={"model.backbone.test_branch_idx": -1, '
            '"model.roi_head.test_branch_idx": -1}')
    raise ValueError(
        f'the student gives the maps of {trained} branches of an image, the '
        f'teacher of {predicting}: they cannot be paired. Use a teacher '
        'with as many branches' +
        ('' if trained > 1 else ', or one whose test_branch_idx is not -1'))


def _branches(model: nn.Module, training: bool) -> int:
    """In how many branches the backbone looks at each image."""
    backbone = getattr(model, 'backbone', None)
    in_prediction = getattr(backbone, 'test_branch_idx', None)
    if in_prediction is None or not (training or in_prediction == -1):
        return 1
    return backbone.num_branch
