"""`Batch`: how samples and packs cross from a worker process to the trainer, without being copied through a pipe."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

Item = TypeVar("Item")

ALIGNED: Final = 64  # bytes: as numpy and torch lay arrays out


class Batch(list[Item]):
    """A list of samples or packs; give it to `DataLoader` as ``collate_fn``.

    A worker puts a batch's arrays (pixels, tokens) into one block of shared memory, which the trainer's process maps:
    one copy instead of five, and no pipe. Arrays of a batch are views of its block, which lives as long as any of
    them. ``/dev/shm`` holds prefetched batches; where it is too small, use ``collate_fn=list``.
    """

    def __init__(self, items: Iterable[Item] = ()) -> None:
        super().__init__(items)

    def __copy__(self) -> Batch[Item]:
        return Batch(self)

    def __reduce_ex__(self, protocol: object) -> tuple[object, ...]:
        import torch

        held: list[pickle.PickleBuffer] = []
        frame = pickle.dumps(list(self), protocol=5, buffer_callback=held.append)
        views = [buffer.raw() for buffer in held]
        starts = list(accumulate((-(-view.nbytes // ALIGNED) * ALIGNED for view in views), initial=0))
        block = torch.empty(0, dtype=torch.uint8).set_(torch.UntypedStorage._new_shared(starts[-1]))
        target = memoryview(block.numpy())
        spans = [(start, start + view.nbytes) for start, view in zip(starts, views, strict=False)]
        for (start, stop), view in zip(spans, views, strict=True):
            target[start:stop] = view
        return _mapped, (frame, block, spans)


def _mapped(frame: bytes, block: Tensor, spans: list[tuple[int, int]]) -> Batch[object]:
    """The batch, over its block."""
    whole = memoryview(block.numpy())
    return Batch(pickle.loads(frame, buffers=[whole[start:stop] for start, stop in spans]))
