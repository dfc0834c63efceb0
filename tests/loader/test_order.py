"""The global order and the progress through it: exact, elastic, and small to save."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.loader import Corpus, Order, Progress, Source
from plait.loader.progress import Done, Position, merged
from plait.schemas.errors import ConfigError


@pytest.fixture(scope="module")
def corpus(corpus_folder):
    return Corpus(corpus_folder)


@pytest.fixture(scope="module")
def other(make_corpus):
    return Corpus(make_corpus(50, 2, 4, salt="b"))


def epoch_places(order: Order, epoch: int = 0) -> list[tuple[int, int, int]]:
    windows = range(epoch * order.windows, (epoch + 1) * order.windows)
    return [tuple(place) for window in windows for place in order.places(window)]


def all_places(corpus: Corpus) -> Counter:
    return Counter((0, group, row) for group, rows in enumerate(corpus.groups[:, 3]) for row in range(rows))


@pytest.mark.parametrize("window", [1, 7, 32, 120, 1000])
def test_every_document_comes_once_an_epoch(corpus, window):
    order = Order((Source(corpus),), window=window)
    for epoch in (0, 1, 5):
        assert Counter(epoch_places(order, epoch)) == all_places(corpus)


def test_epochs_and_seeds_have_orders_of_their_own(corpus):
    one, two = Order((Source(corpus),), seed=1, window=32), Order((Source(corpus),), seed=2, window=32)
    assert epoch_places(one) == epoch_places(Order((Source(Corpus(corpus.path)),), seed=1, window=32))
    assert epoch_places(one) != epoch_places(two)
    assert epoch_places(one) != epoch_places(one, 1)


def test_without_shuffle_documents_come_in_the_corpus_order(corpus):
    order = Order((Source(corpus),), window=32, shuffle=False)
    assert epoch_places(order) == sorted(epoch_places(order))


def test_shuffle_spreads_neighbours(corpus):
    """Few neighbours on disk come side by side, and place on disk tells nothing of place in the epoch."""
    first, order = corpus.groups[:, 2], Order((Source(corpus),), window=60)
    together, correlations = [], []
    for epoch in range(30):
        rows = np.array([first[group] + row for _, group, row in epoch_places(order, epoch)])
        together.append((np.abs(np.diff(rows)) == 1).sum())
        correlations.append(np.corrcoef(rows, np.arange(len(rows)))[0, 1])
    assert np.mean(together) < 4.5  # 2 by chance; windows of half the corpus hold twice as many neighbours
    assert abs(np.mean(correlations)) < 0.1


def test_mixture_gives_each_window_its_weights(corpus, other):
    order = Order((Source(corpus, 3.0), Source(other, 1.0)), window=40)
    assert order.documents == 170
    for window in range(4):
        assert Counter(place.source for place in order.places(window)) == {0: 30, 1: 10}


def test_mixture_takes_every_document_of_a_corpus_before_it_repeats_one(corpus, other):
    order = Order((Source(corpus, 1.0), Source(other, 1.0)), window=25, length=100)
    seen = [place for epoch in range(12) for place in epoch_places(order, epoch) if place[0] == 1]
    assert len(seen) == 600
    for lap in range(12):
        assert len(set(seen[lap * 50 : (lap + 1) * 50])) == 50


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=5), st.integers(0, 10**9), st.integers(1, 2000))
def test_shares_are_whole_numbers_that_add_up_and_never_go_back(corpus, weights, first, size):
    order = Order(tuple(Source(corpus, weight) for weight in weights))
    before, after = order._shares(first), order._shares(first + size)
    assert sum(before) == first
    taken = [b - a for a, b in zip(before, after, strict=True)]
    assert min(taken) >= 0
    assert sum(taken) == size
    whole = sum(weights)
    assert all(abs(b - (first + size) * w / whole) <= len(weights) for b, w in zip(after, weights, strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"window": 0}, "at least 1"), ({"length": 0}, "at least 1"), ({"sources": ()}, "at least one corpus")],
)
def test_wrong_order_is_one_clear_error(corpus, change, message):
    with pytest.raises(ConfigError, match=message):
        Order(**{"sources": (Source(corpus),), **change})


def test_views_and_worthless_weights_are_refused(corpus):
    with pytest.raises(ConfigError, match="view"):
        Order((Source(corpus.head(3)),))
    with pytest.raises(ConfigError, match="must be positive"):
        Order((Source(corpus, 0.0),))
    with pytest.raises(ConfigError, match="must be positive"):
        Order((Source(corpus, float("inf")),))


def stream_positions(done: Done, windows: int, stream: int, streams: int, samples: int) -> list[Position]:
    return [
        Position(window, number + 1, number + 1 == samples)
        for window, start in done.of_stream(windows, stream, streams)
        for number in range(start, samples)
    ]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_number_of_changes_of_shape_loses_and_repeats_nothing(data):
    """Streams stop anywhere, states are merged and dealt out anew, several times; prefetched samples do not count."""
    windows, samples = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 5))
    seen: Counter = Counter()
    done = Done()
    for leg in range(4):
        world, workers = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 4))
        states = []
        for rank in range(world):
            progress = Progress("id", done)
            for worker in range(workers):
                given_ = stream_positions(done, windows, worker * world + rank, workers * world, samples)
                used = given_ if leg == 3 else given_[: data.draw(st.integers(0, len(given_)))]
                progress.used(used)
                seen.update((position.window, position.done) for position in used)
            states.append(json.loads(json.dumps(progress.state_dict())))
        done = merged(states, "id")
    assert seen == Counter({(window, number + 1): 1 for window in range(windows) for number in range(samples)})
    assert done == Done(windows)


def test_state_is_a_few_integers_however_far_the_run_is():
    sizes = []
    for windows in (100, 10_000):
        progress = Progress("id", Done())
        for stream in (3, 11):  # two workers of rank 3 of 8
            progress.used(stream_positions(Done(), windows, stream, 16, 2)[:-1])
        sizes.append(len(json.dumps(progress.state_dict())))
    assert sizes[1] < sizes[0] + 20


def test_states_of_another_run_are_refused():
    with pytest.raises(ConfigError, match="another order"):
        merged([Progress("a").state_dict()], "b")
    with pytest.raises(ConfigError, match="different runs"):
        merged([Progress("a").state_dict(), Progress("a", Done(3)).state_dict()], "a")
    with pytest.raises(ConfigError, match="damaged"):
        merged([{"identity": "a", "base": {}, "ended": [], "at": []}], "a")
    with pytest.raises(ConfigError, match="no state"):
        merged([], "a")


def test_states_that_lack_a_rank_are_refused():
    ranks = [Progress("a", rank=rank, world=3) for rank in range(3)]
    for rank, progress in enumerate(ranks):
        progress.used([Position(rank, 0, True)])
    states = [progress.state_dict() for progress in ranks]
    assert merged(states, "a").low == 3
    for some in (states[:1], states[:2], [states[0], states[0], states[2]]):
        with pytest.raises(ConfigError, match="of 3 ranks are missing"):
            merged(some, "a")
    with pytest.raises(ConfigError, match="different runs"):
        merged([*states, Progress("a", rank=0, world=2).state_dict()], "a")
