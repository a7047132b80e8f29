# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import fgd_reference
import pytest
import torch

from mmw2s.distillation.knowledge.box_masks import box_masks


def expected(boxes, image_size, size):
    return torch.stack([
        torch.stack([
            torch.from_numpy(mask).float()
            for mask in fgd_reference.masks(own, image_size, size)
        ]) for own in boxes
    ])


def random_boxes(count, image_size, seed):
    generator = torch.Generator().manual_seed(seed)
    sides = torch.tensor(image_size).flip(0).float()
    corners = torch.rand(2, count, 2, generator=generator) * sides
    return torch.cat([corners.amin(0), corners.amax(0)], 1)


@pytest.mark.parametrize('image_size, size', [((64, 64), (8, 8)),
                                              ((64, 96), (4, 6)),
                                              ((100, 52), (7, 4)),
                                              ((32, 32), (1, 1))])
def test_masks_are_those_of_loops_over_boxes_and_pixels(image_size, size):
    boxes = [
        random_boxes(count, image_size, seed)
        for seed, count in enumerate((3, 0, 1, 12))
    ]
    torch.testing.assert_close(
        box_masks(boxes, image_size, size), expected(boxes, image_size, size))


def test_a_box_at_the_lines_between_cells_has_those_within():
    masks = box_masks([torch.tensor([[16., 8., 32., 24.]])], (64, 64), (8, 8))
    want = torch.zeros(8, 8)
    want[1:3, 2:4] = 1 / 4
    assert torch.equal(masks[0, 0], want)
    assert torch.equal(masks[0, 1], (want == 0) / 60)


def test_of_boxes_that_overlap_the_smallest_counts_in_any_order():
    boxes = torch.tensor([[0., 0., 32., 32.], [8., 8., 16., 16.]])
    masks = box_masks([boxes, boxes.flip(0)], (32, 32), (4, 4))
    want = torch.full((4, 4), 1 / 16)
    want[1, 1] = 1.
    assert torch.equal(masks[:, 0], want.expand(2, 4, 4))
    assert masks[:, 1].abs().max() == 0  # nothing is left for the background


def test_boxes_beyond_the_border_are_cut_and_those_outside_are_nowhere():
    inside = torch.tensor([[0., 0., 8., 16.]])
    cut = torch.tensor([[-50., -9., 8., 16.]])
    nowhere = torch.tensor([[70., 0., 90., 9.], [-9., 0., -1., 9.],
                            [8., 8., 8., 8.], [20., 20., 10., 30.]])
    masks = box_masks([inside, cut, torch.cat([inside, nowhere])], (64, 64),
                      (8, 8))
    assert masks[0, 0].sum() == 1
    assert torch.equal(masks[0], masks[1])
    assert torch.equal(masks[0], masks[2])


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.int64])
def test_boxes_of_another_precision_are_placed_in_float32(dtype):
    boxes = torch.tensor([[8, 8, 996, 996]])  # exact in each of them
    masks = box_masks([boxes.to(dtype)], (1344, 1344), (84, 84))
    want = box_masks([boxes.float()], (1344, 1344), (84, 84))
    assert masks.dtype == torch.float32
    assert torch.equal(masks, want)
