# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What the plug-and-play form ``teacher=...`` alone stands for.

A recipe knows one kind of model and gives the fields of the hook that are
left out. Another kind is another file, or a class in a user's project.
"""
from typing import Any, List, Optional, Sequence, Tuple, Type

from torch import nn

from mmw2s.distillation.knowledge import Knowledge
from mmw2s.distillation.knowledge.feature_modules import feature_module
from mmw2s.registry import RECIPES

__all__ = [
    'Recipe', 'default_distill', 'default_schedule', 'default_stop',
    'default_temperature', 'feature_entry', 'find_recipe', 'modules',
    'nothing_known'
]


class Recipe:
    """The fields of ``WeakTeacherDistillHook`` for one kind of model.

    Subclasses say which models they are for, and what is distilled. What they
    do not override is the same for all models.

    Attributes:
        knowledge (tuple[type]): Knowledge that only this kind of model has.
            If a config distills it, the model is taken for one of this kind.
        warmup, hold, decay (float): Shares of the run (0 to 1) in which the
            strength rises to 1, stays there, and falls to 0.

    Examples:
        >>> @RECIPES.register_module()
        ... class PoseRecipe(Recipe):
        ...
        ...     def matches(self, student):
        ...         return is_kind(student, 'BasePoseEstimator')
        ...
        ...     def distill(self, student, teacher, other_classes=None):
        ...         knowledge = dict(type='FPNFeatures', module='backbone')
        ...         return [dict(knowledge=knowledge,
        ...                      loss=dict(type='PKDLoss', loss_weight=6.))]
    """

    knowledge: Tuple[Type[Knowledge], ...] = ()
    # Full up to 15 % of the run and 0 at 30 %, because a teacher holds back a
    # student that is almost as good. See docs/results.md.
    warmup, hold, decay = 0.02, 0.13, 0.15

    def matches(self, student: nn.Module) -> bool:
        """Whether the recipe is for this model, given without wrappers."""
        raise NotImplementedError

    def distill(self,
                student: nn.Module,
                teacher: nn.Module,
                other_classes: Optional[str] = None) -> List[dict]:
        """The field ``distill``, see :func:`default_distill`."""
        raise NotImplementedError

    def distill_in_full(self,
                        student: nn.Module,
                        teacher: nn.Module,
                        other_classes: Optional[str] = None) -> List[dict]:
        """The entries of ``distill='full'``: by default the same."""
        return self.distill(student, teacher, other_classes)

    def schedule(self) -> dict:
        """The field ``schedule``: a warm-up, full for a while, a decay."""
        return dict(
            type='WarmupHoldDecay',
            warmup=self.warmup,
            hold=self.hold,
            decay=self.decay,
            unit='run')

    def stop(self, has_validation: bool, max_iters: int,
             comparable: bool) -> dict:
        """The field ``stop``, see :func:`default_stop`."""
        if not comparable:
            return dict(type='At', iter=max_iters // 2)
        # The usual fields in sight, with the rules' own defaults.
        if not has_validation:
            return dict(type='SurpassOnTrain', latest=0.5)
        return dict(type='SurpassTeacher', consecutive=2, latest=0.5)


def find_recipe(
    student: nn.Module, terms: Sequence[Any] = ()) -> Optional[Recipe]:
    """The recipe for a model, or None if there is none.

    The recipe that was registered last is asked first, so that a user's own
    comes before those of the package.

    Args:
        student (nn.Module): The inner model.
        terms (Sequence[Term]): What is distilled, if that is known. A recipe
            with this ``knowledge`` comes before all others. Defaults to none.
    """
    recipes = [kind() for kind in reversed(RECIPES.module_dict.values())]
    for recipe in recipes:
        if any(isinstance(term.knowledge, recipe.knowledge) for term in terms):
            return recipe
    return next((r for r in recipes if r.matches(student)), None)


def default_distill(student: nn.Module,
                    teacher: nn.Module,
                    other_classes: Optional[str] = None,
                    full: bool = False) -> List[dict]:
    """The ``distill`` field for the kind of model that the student is.

    Args:
        student (nn.Module): The inner model.
        teacher (nn.Module): The teacher's inner model. For detectors, what
            cannot be compared is left out, such as the scores of another
            kind of head or of other classes. The log says so.
        other_classes (str, optional): How the names of their classes
            differ, from ``class_matching.class_difference``. Defaults to
            None: they do not.
        full (bool): Whether to take all that is known of that kind
            (``distill='full'``): of detectors also what the heads give.
            Defaults to False.

    Returns:
        list[dict]: The entries.

    Raises:
        ValueError: If nothing is known about that kind of model, or nothing
            of it can be compared with the teacher.
    """
    recipe = find_recipe(student)
    if recipe is None:
        raise ValueError(nothing_known(student))
    choose = recipe.distill_in_full if full else recipe.distill
    return choose(student, teacher, other_classes)


def default_schedule(student: nn.Module, terms: Sequence[Any] = ()) -> dict:
    """The ``schedule`` field: a warm-up, full for a while, then a decay to 0.

    Args:
        student (nn.Module): The inner model.
        terms (Sequence[Term]): What is distilled. If it is ``ClassLogits``,
            the model is taken for a classifier. Defaults to none.
    """
    return (find_recipe(student, terms) or Recipe()).schedule()


def default_temperature() -> dict:
    """The ``temperature`` of an entry: 6 to 1 over half of the run."""
    return dict(type='Linear', start=6., end=1., length=0.5, unit='run')


def default_stop(has_validation: bool,
                 max_iters: int,
                 comparable: bool = True,
                 student: Optional[nn.Module] = None) -> dict:
    """The ``stop`` field: surpass the teacher in validation.

    In a run without validation, surpass it in training.

    Args:
        has_validation (bool): Whether the run validates.
        max_iters (int): Number of iterations of the run.
        comparable (bool): Whether the teacher can be scored on the run's
            data, see :func:`why_incomparable`. If not, the distillation ends
            in the middle of the run, where the other rules end at the latest.
            Defaults to True.
        student (nn.Module, optional): The inner model. Its recipe may have
            another rule. Defaults to None.
    """
    recipe = None if student is None else find_recipe(student)
    return (recipe or Recipe()).stop(has_validation, max_iters, comparable)


def nothing_known(student: nn.Module) -> str:
    """The message that there is no default, with a field to begin from."""
    head = getattr(student, 'bbox_head', None) or getattr(
        student, 'head', None)
    # If no module has a known name, the message lists those to choose from.
    module = feature_module(student) or '<one of ' + ', '.join(
        name for name, _ in student.named_children()) + '>'
    return (
        f'no default distillation is known for a {type(student).__name__}'
        f'{f" with a {type(head).__name__}" if head is not None else ""}: '
        'give the hook a "distill" field, e.g. distill=[dict(knowledge=dict('
        f'type="FPNFeatures", module="{module}"), loss=dict(type="PKDLoss", '
        'loss_weight=10.))], or of a classifier distill=[dict(knowledge=dict('
        'type="ClassLogits", module=<what gives logits>), loss=dict('
        'type="KDLoss", loss_weight=3.))]')


def feature_entry(student: nn.Module, teacher: nn.Module,
                  loss_weight: float) -> dict:
    """The entry for the maps that a head looks at."""
    named = modules(*map(_maps_module, (student, teacher)), 'neck')
    return dict(
        knowledge=dict(type='FPNFeatures', **named),
        loss=dict(type='PKDLoss', loss_weight=loss_weight))


def _maps_module(model: nn.Module) -> str:
    return 'backbone' if getattr(model, 'neck', None) is None else 'neck'


def modules(student: str, teacher: str, usual: str) -> dict:
    """The fields of a knowledge that name its modules, without defaults.

    Args:
        student (str): Name of the student's module.
        teacher (str): Name of the teacher's module.
        usual (str): Default of the field ``module``.
    """
    named = {} if student == usual else dict(module=student)
    return named if teacher == student else dict(named, teacher_module=teacher)
