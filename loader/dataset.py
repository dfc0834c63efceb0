"""`InterleavedDataset`: a torch dataset over corpora, exact and elastic. Imported only where it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypeVar

import torch
from torch import distributed
from torch.utils.data import IterableDataset, get_worker_info

from plait.loader.order import Order
from plait.loader.packing import Pack, PackRecipe, packs
from plait.loader.progress import Done, Progress, State, merged
from plait.loader.samples import Sample, SampleRecipe, samples
from plait.schemas.errors import ConfigError
from plait.schemas.manifest import Json

Batch = TypeVar("Batch")


class InterleavedDataset(IterableDataset[Sample | Pack]):
    """Documents, pairs or packs of one or more corpora, each document exactly once an epoch.

    What comes, and in which order, is a function of `order` alone; ranks and workers deal its windows out among
    themselves. Ranks may differ by a window at the end of an epoch: `in_step` stops or pads them together.

    Args:
        order: corpora, weights, seed, window.
        recipe: what a sample is.
        pack: packs samples into token sequences; None gives samples.
        rank: of this process; None: torch.distributed's, or 0.
        world: number of processes that share an epoch; None: torch.distributed's, or 1.

    Iterate it with `torch.utils.data.DataLoader(dataset, batch_size=..., num_workers=..., collate_fn=...)`, tell
    `progress().used(...)` the positions of every batch that was trained on, and save its `state_dict()`.
    """

    def __init__(
        self,
        order: Order,
        recipe: SampleRecipe | None = None,
        *,
        pack: PackRecipe | None = None,
        rank: int | None = None,
        world: int | None = None,
    ) -> None:
        self.order = order
        self.recipe = recipe or SampleRecipe()
        self.pack = pack
        joined = distributed.is_available() and distributed.is_initialized()
        self.rank = rank if rank is not None else (distributed.get_rank() if joined else 0)
        self.world = world if world is not None else (distributed.get_world_size() if joined else 1)
        if not 0 <= self.rank < self.world:
            raise ConfigError(f"rank {self.rank} of a world of {self.world}")
        self.epoch = 0
        self._base = Done()
        self._own: State | None = None
        self._loader_state: Progress | None = None

    @property
    def identity(self) -> str:
        """What states depend on; of packs also how many images a picture becomes."""
        if self.pack is None:
            return f"{self.order.identity}-{self.recipe.view}"
        pictures = f"{self.recipe.view}-{self.recipe.max_images}-{self.recipe.pixels!r}"
        return f"{self.order.identity}-{self.pack.identity}-{pictures}"

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next iteration gives; what is left of earlier ones is left out."""
        self.epoch = epoch
        self._base = self._base.since(epoch * self.order.windows)

    def progress(self) -> Progress:
        """A new follower, which begins where this dataset does."""
        return Progress(self.identity, self._base, rank=self.rank, world=self.world)

    def load_state_dict(self, state: State | Sequence[State]) -> None:
        """Goes on from the states of all ranks of a checkpoint, whatever the number of ranks and workers now.

        A state of torchdata's StatefulDataLoader, which holds each worker's own, is taken in a worker.

        Raises:
            ConfigError: they are of another dataset, of different moments, or damaged.
        """
        if isinstance(state, dict) and "worker" in state:
            self._own = state
            return
        states = [state] if isinstance(state, dict) else list(state)
        self._base = merged(states, self.identity)
        self.epoch = self._base.low // self.order.windows

    def state_dict(self) -> State:
        """The state of this process' own iteration: for StatefulDataLoader, which calls it in every worker."""
        worker = _worker()
        held = self._loader_state or self.progress()
        return {"worker": list(worker), "epoch": self.epoch, **held.state_dict()}

    def __iter__(self) -> Iterator[Sample | Pack]:
        number, workers = _worker()
        base = self._base
        if self._own is not None:
            if self._own["worker"] != [number, workers]:
                raise ConfigError(
                    f"this state was saved by worker {self._own['worker']} and this is worker {[number, workers]}: "
                    "StatefulDataLoader resumes at an equal worker count; Progress resumes at any"
                )
            own: dict[str, Json] = {name: self._own[name] for name in ("identity", "base", "ended", "at")}
            # What the other streams did is not known here: only this stream's own windows are looked at below.
            return self._stream(merged([own], self.identity), base, number, workers)
        return self._stream(base, base, number, workers)

    def _stream(self, done: Done, dealt: Done, number: int, workers: int) -> Iterator[Sample | Pack]:
        """The samples of this stream: windows are dealt by ``dealt``, and ``done`` of them is passed over."""
        stop = (self.epoch + 1) * self.order.windows
        stream, streams = number * self.world + self.rank, workers * self.world
        ended = set(done.beyond)
        windows = (
            (window, done.partial.get(window, start))
            for window, start in dealt.since(self.epoch * self.order.windows).of_stream(stop, stream, streams)
            if window not in ended and window >= done.low
        )
        self._own = None
        self._loader_state = Progress(self.identity, dealt)
        self._loader_state.used((window, 0, True) for window in ended if window not in dealt.beyond)
        made = (
            packs(self.order, self.recipe, self.pack, windows)
            if self.pack
            else samples(self.order, self.recipe, windows)
        )
        for sample in made:
            self._loader_state.used(sample.positions)
            yield sample


def _worker() -> tuple[int, int]:
    """Number of this worker and how many there are."""
    info = get_worker_info()
    return (info.id, info.num_workers) if info is not None else (0, 1)


def in_step(batches: Iterator[Batch], ends: Literal["stop", "pad"] = "stop") -> Iterator[tuple[Batch, bool]]:
    """A rank's batches, all ranks making the same number of steps, so that no collective waits for a rank that is done.

    Args:
        batches: of this rank.
        ends: "stop": all stop when the first has no more; what the others still had is left out of the epoch. "pad":
            ranks that have no more repeat their last batch until none has any.

    Yields:
        A batch, and whether it is new: a repeated one must not count as used.

    Raises:
        ConfigError: a rank has no batch at all to repeat.
    """
    joined = distributed.is_available() and distributed.is_initialized()
    last: Batch | None = None
    while True:
        batch = next(batches, None)
        on = "cuda" if joined and distributed.get_backend() == "nccl" else "cpu"
        have = torch.tensor([int(batch is not None)], device=on)
        if joined:
            distributed.all_reduce(have, distributed.ReduceOp.MIN if ends == "stop" else distributed.ReduceOp.MAX)
        if not int(have):
            return
        if batch is not None:
            last = batch
            yield batch, True
        elif last is None:
            raise ConfigError("this rank has no batch to repeat: fewer windows than streams; make windows smaller")
        else:
            yield last, False
