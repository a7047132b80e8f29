# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Where new blocks stand among the teacher's."""
from typing import List, Optional

from .rules import CannotGrow

__all__ = ['spread_blocks']


def spread_blocks(student: int, teacher: int) -> List[Optional[int]]:
    """The teacher's block for each of the student's; None for a new one.

    New blocks are spread evenly, each behind a block of the teacher's.

    Raises:
        CannotGrow: If the student has fewer.

    Examples:
        >>> spread_blocks(5, 3)
        [0, None, 1, None, 2]
    """
    if not 0 < teacher <= student:
        raise CannotGrow(f'the student has {student} blocks, the teacher '
                         f'{teacher}: it needs as many or more')
    blocks: List[Optional[int]] = []
    for i in range(student):
        block = i * teacher // student
        blocks.append(None if block in blocks else block)
    return blocks
