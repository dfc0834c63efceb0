"""What is done: a few integers a stream, that any number of ranks and workers goes on from.

Windows are counted on from epoch to epoch and dealt to streams in turn: of the windows that are left, stream s of S
takes the s-th, the (s+S)-th and so on. What is done is then: every window below ``low``, some windows above it (about
one a stream), and so many samples of the windows that were under way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from typing import NamedTuple, TypeAlias

from plait.schemas.errors import ConfigError
from plait.schemas.manifest import Json

State: TypeAlias = dict[str, Json]


class Position(NamedTuple):
    """Where a sample stands; it travels with the sample, so prefetching blurs nothing."""

    window: int
    done: int  # samples of the window up to and with this one
    last: bool  # whether it is the window's last


@dataclass(frozen=True)
class Done:
    """What is done.

    Attributes:
        low: all windows below are.
        beyond: windows at or above ``low`` that are, ascending.
        partial: window -> samples of it that are, for windows that were begun.
    """

    low: int = 0
    beyond: tuple[int, ...] = ()
    partial: dict[int, int] = field(default_factory=dict)

    def of_stream(self, stop: int | None, stream: int, streams: int) -> Iterator[tuple[int, int]]:
        """The windows below ``stop`` that one of ``streams`` streams takes, with the samples of each to pass over."""
        skipped = set(self.beyond)
        numbers = count(self.low) if stop is None else range(self.low, stop)
        left = (window for window in numbers if window not in skipped)
        for window in islice(left, stream, None, streams):
            yield window, self.partial.get(window, 0)

    def merged(self, positions: Iterable[tuple[int, int, bool]]) -> Done:
        """With further positions added."""
        beyond, partial = set(self.beyond), dict(self.partial)
        for window, samples, last in positions:
            if window < self.low or window in beyond:
                continue
            if last:
                beyond.add(window)
                partial.pop(window, None)
            else:
                partial[window] = max(samples, partial.get(window, 0))
        low = next(window for window in count(self.low) if window not in beyond)
        return Done(low, tuple(sorted(window for window in beyond if window >= low)), dict(sorted(partial.items())))

    def since(self, window: int) -> Done:
        """With everything below a window counted as done: where an epoch begins."""
        if window <= self.low:
            return self
        rest = Done(window, (), {at: samples for at, samples in self.partial.items() if at >= window})
        return rest.merged((at, 0, True) for at in self.beyond)

    def to_json(self) -> State:
        """As a state holds it."""
        partial: list[Json] = [[window, samples] for window, samples in self.partial.items()]
        return {"low": self.low, "beyond": list(self.beyond), "partial": partial}

    @classmethod
    def from_json(cls, state: State) -> Done:
        """Reads `to_json`."""
        pairs = [_list(pair) for pair in _list(state["partial"])]
        partial = {_int(window): _int(samples) for window, samples in pairs}
        return cls(_int(state["low"]), tuple(_int(window) for window in _list(state["beyond"])), partial)


class Progress:
    """Follows the samples that a trainer has used, and gives the state to save with its checkpoint.

    One on each rank. Call `used` with every batch's positions, in the trainer and not in a worker. To save, gather the
    `state_dict()` of all ranks and store the list; `InterleavedDataset.load_state_dict` takes the list on any number of
    ranks and workers.
    """

    def __init__(self, identity: str, base: Done | None = None, *, rank: int = 0, world: int = 1) -> None:
        self.identity = identity
        self._rank = (rank, world)
        self._base = base or Done()
        self._ended: set[int] = set()
        self._at: dict[int, int] = {}

    def used(self, positions: Iterable[Sequence[int]]) -> None:
        """Notes samples, by their positions, as used."""
        for window, done, last in positions:
            if last:
                self._ended.add(int(window))
                self._at.pop(int(window), None)
            else:
                self._at[int(window)] = max(int(done), self._at.get(int(window), 0))

    def state_dict(self) -> State:
        """The state of this rank: JSON-like, a few integers for each of its streams."""
        ended: list[Json] = [list(span) for span in _spans(self._ended)]
        under_way: list[Json] = [[window, done] for window, done in sorted(self._at.items())]
        state: State = {"identity": self.identity, "base": self._base.to_json(), "ended": ended, "at": under_way}
        return state | {"rank": list(self._rank)} if self._rank[1] > 1 else state


def merged(states: Sequence[State], identity: str) -> Done:
    """What is done, from the states of all ranks of one moment.

    Raises:
        ConfigError: the states are of another dataset, of different moments, damaged, or not of all ranks.
    """
    if not states:
        raise ConfigError("no state was given")
    bases = []
    positions: list[tuple[int, int, bool]] = []
    for state in states:
        if state.get("identity") != identity:
            raise ConfigError(
                "this state is of another order: corpora, weights, seed, window, epoch length and packing must be as "
                "they were when it was saved"
            )
        try:
            base = state["base"]
            if not isinstance(base, dict):
                raise ConfigError("a damaged state: it has no base")
            bases.append(Done.from_json(base))
            positions += [(window, 0, True) for span in _list(state["ended"]) for window in _range(span)]
            positions += [(_int(pair[0]), _int(pair[1]), False) for pair in map(_list, _list(state["at"]))]
        except (KeyError, IndexError, ValueError) as error:
            raise ConfigError(f"a damaged state: {error!r}") from error
    _all_ranks(states)
    if any(base != bases[0] for base in bases):
        raise ConfigError("these states are of different runs: give the states of all ranks of one checkpoint")
    return bases[0].merged(sorted(positions))


def _all_ranks(states: Sequence[State]) -> None:
    """Refuses states that lack a rank's: what that one used would come again."""
    of = [tuple(map(_int, _list(state["rank"]))) for state in states if "rank" in state]
    worlds = {world for _, world in of}
    if len(worlds) > 1:
        raise ConfigError("these states are of different runs: give the states of all ranks of one checkpoint")
    for world in worlds:
        if absent := sorted(set(range(world)) - {rank for rank, _ in of}):
            raise ConfigError(
                f"the states of {len(absent)} of {world} ranks are missing, of rank {absent[0]} among them: what they "
                "used would come again; gather the states of all ranks, and store the list"
            )


def _spans(windows: Iterable[int]) -> list[tuple[int, int, int]]:
    """Ascending windows as (first, step, how many): a stream's windows are evenly spaced."""
    spans: list[tuple[int, int, int]] = []
    for window in sorted(windows):
        if spans:
            first, step, number = spans[-1]
            if number == 1:
                spans[-1] = (first, window - first, 2)
                continue
            if window == first + step * number:
                spans[-1] = (first, step, number + 1)
                continue
        spans.append((window, 1, 1))
    return spans


def _range(span: Json) -> range:
    first, step, number = (_int(part) for part in _list(span))
    return range(first, first + step * number, step)


def _int(value: Json) -> int:
    if not isinstance(value, int):
        raise ConfigError(f"a damaged state: {value!r} stands where a number is expected")
    return value


def _list(value: Json) -> list[Json]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"a damaged state: {value!r} stands where a list is expected")
    return list(value)
