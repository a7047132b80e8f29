# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What the teacher makes of a batch, computed when it is asked for."""
from contextlib import contextmanager, nullcontext
from types import MappingProxyType
from typing import (Any, Callable, ContextManager, Dict, Hashable, Iterator,
                    List, Mapping, Optional, Sequence, Tuple)

import torch
from mmengine.utils import is_seq_of
from torch import Tensor, nn

from mmw2s.utils.kinds import is_kind
from mmw2s.utils.rng import preserved_rng
from .batch import images_of, samples_of
from .failures import retold
from .input_mapping import InputMapping
from .permuted_batch import permuted
from .recorder import Call, EnoughRecorded, Recorder
from .smaller_input import shrink
from .teacher import FrozenTeacher
from .whole_forward import WholeForward

__all__ = ['TeacherOutputs']


class TeacherOutputs:
    """What the teacher makes of one batch, computed when first asked for.

    ``outputs[name]`` runs the teacher's forward, once for the batch, and gives
    the calls of a module.

    Args:
        teacher (FrozenTeacher): The teacher.
        recorder (Recorder): Watches the teacher's modules.
        mapping (InputMapping): From the student's input to the teacher's.
        inputs (Tensor): The student's input, shape (B, C, H, W).
        data_samples (Any): The batch's data samples, in any form.
        until (Mapping[str, int]): Number of calls of each module that are
            needed. The forward ends with the last of them. Defaults to none:
            the forward goes on to its end.
        whole (bool): Whether the forward goes on to its end, and is refused
            if its calls are not those of ``until``. Defaults to False.
        training_form (Sequence[str]): Modules of the teacher that are in
            training mode during the forward, without their children. In eval
            mode some heads give decoded boxes. Defaults to none.
        names (Sequence[str], optional): Modules whose calls are recorded.
            Defaults to None: all that the recorder watches.

    Examples:
        >>> outputs = distiller.teacher_outputs(inputs, data_samples)
        >>> maps = outputs['neck'][0].output
    """

    def __init__(self,
                 teacher: FrozenTeacher,
                 recorder: Recorder,
                 mapping: InputMapping,
                 inputs: Any,
                 data_samples: Any,
                 until: Mapping[str, int] = MappingProxyType({}),
                 whole: bool = False,
                 training_form: Sequence[str] = (),
                 names: Optional[Sequence[str]] = None) -> None:
        self._teacher = teacher
        self._recorder = recorder
        self._mapping = mapping
        self._student_inputs = inputs if isinstance(inputs, Tensor) else \
            images_of(inputs)
        self._given_samples = self._data_samples = data_samples
        if isinstance(data_samples, Mapping) or is_seq_of(
                data_samples, Mapping):
            self._data_samples = samples_of(data_samples,
                                            len(self._student_inputs))
        self._until = until
        self._training_form = training_form
        self._names = names
        self._whole = whole
        self._shown: Optional[Tuple[Tensor, Any]] = None
        self._calls: Optional[Dict[str, List[Call]]] = None
        self._memo: Dict[Hashable, Any] = {}

    def memo(self, key: Hashable, compute: Callable[..., Any], *args:
             Any) -> Any:
        """The result of ``compute(*args)``, computed once for each ``key``."""
        if key not in self._memo:
            self._memo[key] = compute(*args)
        return self._memo[key]

    @property
    def data_samples(self) -> Any:
        """The data samples, one for each image; None if there are none."""
        is_list = isinstance(self._data_samples, (list, tuple))
        return self._data_samples if is_list else None

    @property
    def image_size(self) -> Tuple[int, int]:
        """Height and width of the images as the student is given them."""
        height, width = self._student_inputs.shape[-2:]
        return height, width

    @property
    def inputs(self) -> Tensor:
        """The images as the teacher is given them, shape (B, C, h, w)."""
        return self._seen()[0]

    def _seen(self) -> Tuple[Tensor, Any]:
        """The images and their data samples, as the teacher is given them."""
        if self._shown is None:
            inputs = self._student_inputs
            if not self._mapping.is_identity:
                inputs = self._mapping(inputs, self._data_samples)
            inputs, samples = shrink(inputs, self._data_samples,
                                     self._teacher.scale)
            # Sizes and metainfo travel with the pixels.
            self._shown = self.of_teacher(inputs), self.of_teacher(samples)
        return self._shown

    def of_teacher(self, values: Any) -> Any:
        """What belongs to the images of the batch, as the teacher has them.

        A knowledge that shows the teacher inputs of its own asks for this. It
        changes nothing, unless the teacher is a permuted one.

        Args:
            values (Any): See :func:`~.permuted_batch.permuted`.
        """
        return permuted(values) if self._teacher.permute else values

    def __getitem__(self, name: str) -> List[Call]:
        """The calls of the teacher's module ``name`` on this batch."""
        if self._calls is None:
            self._calls = self._run_whole() if self._whole else \
                self._run(self._predict)
        return self._calls[name]

    def through(self, forward: Callable[[], Any]) -> Dict[str, List[Call]]:
        """The calls of the teacher's modules in another forward.

        It lets the teacher see something else than the batch, such as the
        noisy images that a diffusion model has made of it. A batch has one
        forward: the first that was asked for.

        Args:
            forward (Callable): Runs the teacher; takes no arguments.

        Returns:
            dict[str, list[Call]]: Name of a module -> its calls.
        """
        if self._calls is None:
            self._calls = self._run(forward)
        return self._calls

    @torch.no_grad()
    def _run(self, forward: Callable[[], Any]) -> Dict[str, List[Call]]:
        teacher, precision = self._teacher, self._autocast()
        heads = [
            teacher.model.get_submodule(name) for name in self._training_form
        ]
        with teacher.stopwatch, precision:
            self._recorder.open(self._until, self._names)
            for head in heads:
                head.training = True
            try:
                forward()
            except EnoughRecorded:
                pass
            finally:
                for head in heads:
                    head.training = False
                calls = self._recorder.close()
        missing = [
            n for n, count in self._until.items() if len(calls[n]) < count
        ]
        if missing:
            raise RuntimeError(
                f'the teacher {teacher.name} calls '
                f'{", ".join(missing)} less often than the student does: '
                'their outputs cannot be paired call by call. Name another '
                'module in the knowledge')
        return calls

    @torch.no_grad()
    def _run_whole(self) -> Dict[str, List[Call]]:
        teacher = self._teacher
        with teacher.stopwatch, self._autocast(), \
                training_flag_up(teacher.model, self._training_form):
            look = WholeForward(teacher.model, teacher.name, self._recorder)
            return look.calls(self._predict_on, *self._seen(), self._until)

    def _predict(self) -> None:
        # In mode='tensor' mmdet calls the forward of its heads directly, so
        # that no hook runs. In mode='predict' the recorder ends the forward
        # before its post-processing, which self-supervised models do not have.
        # A segmentor runs the same layers in mode='tensor', on the whole
        # image. In mode='predict' it may slide a window, and it warns in each
        # step in which the original images are of several sizes.
        model = self._teacher.model
        without = is_kind(model, 'BaseSegmentor', 'BaseSelfSupervisor')
        try:
            model(*self._seen(), mode='tensor' if without else 'predict')
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(
                f'the teacher {self._teacher.name} cannot take the data '
                f'samples of the run ({type(error).__name__}: {error}), '
                f'which are a {type(self._given_samples).__name__}. Use a '
                'collate_fn that gives a list of data samples '
                '(pseudo_collate), or distill feature maps, for which a '
                'teacher seldom needs them') from error
        except Exception:
            with teacher_named(self._teacher):
                raise

    def _predict_on(self, inputs: Tensor, data_samples: Any) -> None:
        """Predict on another batch, which replaces this one meanwhile."""
        own, self._shown = self._shown, (inputs, data_samples)
        try:
            self._predict()
        finally:
            self._shown = own

    @torch.no_grad()
    def run(self, function: Callable, *args: Any) -> Any:
        """Call a part of the teacher with inputs of a knowledge's own.

        It runs in the teacher's precision, without a graph, and its time is
        added to the teacher's. Ask for ``outputs[...]`` first, which starts
        the measurement of a batch.

        Args:
            function (Callable): The part, such as a method of a RoI head.
            *args: What it is called with.
        """
        with self._teacher.stopwatch.more(), self._autocast():
            return function(*args)

    @torch.no_grad()
    def task_losses(self) -> Dict[str, Any]:
        """The teacher's own losses on this batch, as its model gives them.

        Raises:
            ValueError: If it cannot compute them. Errors of the machine, such
                as too little memory, are raised as they are.
        """
        teacher = self._teacher
        # As in the student, all heads are in training mode, whichever the
        # knowledges name. So is the model itself: by its flag DETRs add their
        # denoising queries.
        heads = [
            name for name, module in teacher.model.named_modules()
            if hasattr(module, 'loss')
        ]
        # A RoI head draws the proposals that it is trained on.
        with preserved_rng(), self._autocast(), \
                training_flag_up(teacher.model, heads), \
                retold(lambda error: (
                    f'the teacher {teacher.name} cannot compute its losses on '
                    'a batch that the student has computed its own on '
                    f'{error}. Use a teacher of the kind of the student, or a '
                    'stop without training losses, stop=dict(type="At", '
                    '...)')):
            return teacher.model(self.inputs, self._given_samples, mode='loss')

    def _autocast(self) -> ContextManager[None]:
        """The precision that the teacher computes in."""
        precision = self._teacher.precision
        if precision is None:
            return nullcontext()
        device_type = self._student_inputs.device.type
        if precision is torch.float32:
            return torch.autocast(device_type, enabled=False)
        return torch.autocast(device_type, dtype=precision)


def teacher_named(teacher: FrozenTeacher) -> ContextManager[None]:
    """Name the teacher in the message of a forward that fails."""
    return retold(lambda error: (
        f'the teacher {teacher.name} cannot take the images of the run '
        f'{error}. Is it for images of another size, or of other channels?'))


@contextmanager
def training_flag_up(model: nn.Module, names: Sequence[str]) -> Iterator[None]:
    """Within it the named modules, without their children, are in training
    mode."""
    modules = [model.get_submodule(name) for name in names]
    for module in modules:
        module.training = True
    try:
        yield
    finally:
        for module in modules:
            module.training = False
