# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Models, teachers and batches made of the toys, for tests on a CPU."""
import torch
from mmdet.structures import DetDataSample
from mmengine.model import BaseModel
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData
from torch import nn

from mmw2s.distillation import FrozenTeacher, Recorder
from mmw2s.distillation.input_mapping import InputMapping
from mmw2s.distillation.teacher_outputs import TeacherOutputs


def build(cfg: dict, seed: int = 0, scope: str = 'mmdet') -> nn.Module:
    """A model of a package with weights that follow from the seed."""
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(cfg)


def save(model: nn.Module, path, **meta) -> str:
    """A checkpoint with the weights of a model."""
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return str(path)


def teacher_field(cfg: dict,
                  path,
                  seed: int = 1,
                  scope: str = 'mmdet',
                  **meta) -> dict:
    """The hook's ``teacher`` field, of a model saved at ``path``."""
    return dict(
        config=dict(default_scope=scope, model=cfg),
        checkpoint=save(build(cfg, seed, scope), path, **meta))


def teacher_of(cfg: dict, path, seed: int = 1, **fields) -> FrozenTeacher:
    """A frozen teacher that loads its weights from ``path``."""
    checkpoint = save(build(cfg, seed), path)
    return FrozenTeacher(
        dict(model=cfg, default_scope='mmdet'), checkpoint, **fields)


def batch(count: int = 2, size=(64, 64), seed: int = 0):
    """Normalized images, shape (B, 3, H, W), with one box each."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 3, *size, generator=generator)
    samples = []
    for i in range(count):
        sample = DetDataSample(
            metainfo=dict(
                img_id=i,
                img_shape=size,
                ori_shape=size,
                pad_shape=size,
                batch_input_shape=size,
                scale_factor=(1., 1.)))
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor([[8., 8., 40., 40.]]),
            labels=torch.tensor([i % 2]))
        samples.append(sample)
    return inputs, samples


def outputs_of(teacher, names, until=None, form=(), inputs=None, samples=None):
    """The teacher's outputs of a batch of its own."""
    model = teacher.model
    if inputs is None:
        inputs, samples = batch()
    mapping = InputMapping(model.data_preprocessor, model.data_preprocessor)
    return TeacherOutputs(
        teacher,
        Recorder(model, names, 'teacher'),
        mapping,
        inputs,
        samples,
        until or {n: 1
                  for n in names},
        training_form=form)


def pairs_of(knowledge, student, teacher, size=(64, 64)):
    """Pairs of a batch, the student's calls, and the teacher's outputs."""
    knowledge.check(student, teacher.model)
    knowledge.bind(student, teacher.model)
    inputs, samples = batch(size=size)
    recorder = Recorder(student, knowledge.student_modules, 'student')
    recorder.open()
    student.train().bbox_head(student.extract_feat(inputs))
    recorded = recorder.close()
    outputs = outputs_of(
        teacher, knowledge.teacher_modules, knowledge.calls_needed(recorded),
        [knowledge.teacher_module] if knowledge.training_form else [], inputs,
        samples)
    return knowledge.pairs(recorded, outputs), recorded, outputs


def losses_of(student, inputs, samples):
    """A forward in loss mode: the task's losses, and what joined them."""
    task = {}
    handle = student.register_forward_hook(
        lambda module, args, output: task.update(output), prepend=True)
    try:
        joined = student(inputs, samples, mode='loss')
    finally:
        handle.remove()
    return task, {
        key: loss
        for key, loss in joined.items() if loss is not task.get(key)
    }


class TinyModel(BaseModel):
    """A body that is called as often as asked, then a head."""

    def __init__(self, calls: int = 1, head_calls: int = 1) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 1)
        self.head = nn.Sequential(nn.Conv2d(4, 2, 1), nn.Dropout(0.5))
        self.calls, self.head_calls = calls, head_calls

    def forward(self, inputs, data_samples=None, mode='tensor'):
        for _ in range(self.calls):
            x = self.body(inputs)
        for _ in range(self.head_calls):
            y = self.head(x)
        return dict(loss=y.mean()) if mode == 'loss' else y
