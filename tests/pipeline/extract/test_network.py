"""The network: exact on any machine, the same in numpy as in torch, and able to learn what only groups show."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest

from plait.pipeline.extract import extract_html
from plait.pipeline.extract.network import LAYERS, WIDTH, Group, Network

FEATURES, GROUPS = 7, 5
Arrays = dict[str, npt.NDArray[np.generic]]


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[3] / "benchmarks"))
    import train_network

    yield train_network
    sys.modules.pop("train_network")


def _arrays(seed: int) -> Arrays:
    draw = np.random.default_rng(seed)

    def weights(*shape: int) -> npt.NDArray[np.int16]:
        return draw.integers(-2000, 2000, shape).astype(np.int16)

    arrays: Arrays = {
        "mean": draw.normal(size=FEATURES).astype(np.float32), "scale": np.full(FEATURES, 0.7, np.float32),
        "in": weights(FEATURES, WIDTH), "in_bias": weights(WIDTH), "out": weights(WIDTH, 1), "out_bias": weights(1),
    }  # fmt: skip
    for k in range(LAYERS):
        arrays |= {f"near_{k}": weights(WIDTH, 3 * WIDTH), f"bias_{k}": weights(WIDTH)}
        arrays[f"group_{k}"] = weights(GROUPS * WIDTH, WIDTH)
    arrays |= {"first_gain": weights(WIDTH), "first_shift": weights(WIDTH)}
    for k in range(LAYERS):
        arrays |= {f"layer_{k}_gain": weights(WIDTH), f"layer_{k}_shift": weights(WIDTH)}
    return arrays


def _page(count: int, seed: int) -> tuple[npt.NDArray[np.float32], list[Group]]:
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(count, FEATURES)).astype(np.float32)
    labels = [draw.integers(0, size, count) for size in (4, 3, 2, 2)]
    return features, [Group.of(each) for each in [*labels, np.zeros(count, np.int64)]]


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_additions_changes_no_bit(seed: int) -> None:
    arrays = _arrays(seed)
    features, groups = _page(40, seed)
    order = np.random.default_rng(seed).permutation(FEATURES)
    moved = arrays | {name: arrays[name][order] for name in ("in", "mean", "scale")}
    odds = Network(arrays).odds(features, groups)
    assert odds.std() > 0
    assert np.array_equal(odds, Network(moved).odds(features[:, order], groups))


def test_a_mean_is_that_of_the_groups_rows() -> None:
    rows = np.arange(12.0).reshape(6, 2)
    group = Group.of(np.array([7, 3, 7, 7, 3, 9]))
    assert group.means(rows)[group.number].tolist() == [
        [10 / 3 // (1 / 4096) / 4096, 13 / 3 // (1 / 4096) / 4096] if label == 7 else [5.0, 6.0] if label == 3 else [10.0, 11.0]
        for label in (7, 3, 7, 7, 3, 9)
    ]  # fmt: skip


@pytest.mark.parametrize("count", [1, 2, 9, 30])
def test_pages_shorter_than_a_step_have_odds(count: int) -> None:
    features, groups = _page(count, 0)
    odds = Network(_arrays(1)).odds(features, groups)
    assert odds.shape == (count,)
    assert np.isfinite(odds).all()


def test_trees_decide_alone_on_pages_of_very_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    odds = Network.odds

    def counted(self: Network, features: npt.NDArray[np.float32], groups: list[Group]) -> npt.NDArray[np.float64]:
        asked.append(len(features))
        return odds(self, features, groups)

    monkeypatch.setattr(Network, "odds", counted)
    monkeypatch.setattr("plait.pipeline.extract.blocks._NETWORK_BLOCKS", 30)
    for count in (30, 31):
        html = "".join(f"<p>Paragraph {i} of a page that has some of them.</p>" for i in range(count)).encode()
        assert len(extract_html(html, "http://example.org/").nodes) == count
    assert asked == [30]


def test_the_model_that_ships_is_small() -> None:
    path = Path(__file__).resolve().parents[3] / "pipeline" / "extract" / "blocks.npz"
    assert path.stat().st_size < 1 << 20


@pytest.mark.heavy
def test_numpy_says_what_torch_learned(training: ModuleType) -> None:
    import torch

    torch.manual_seed(5)
    teacher = training.Teacher(FEATURES).eval()
    features, groups = _page(50, 5)
    numbers = [group.number for group in groups]
    shorter = [np.unique(number[:20], return_inverse=True)[1] for number in numbers]
    pages = [(features[:20], shorter), (features, numbers)]
    ones = np.ones(50, np.float32)
    batch = training.make_batch(
        [training.Sample(training.logs(x), ones[: len(x)], ones[: len(x)], each) for x, each in pages]
    )
    with torch.no_grad():
        learned = teacher(batch, batch.features.clamp(-5, 5))
    plain = {"mean": np.zeros(FEATURES), "scale": np.ones(FEATURES)}
    odds = Network(training.export_network(teacher) | plain).odds(features, groups)
    start = 20 + training.GAP
    assert np.abs(odds - learned[start : start + 50].numpy()).max() < 0.02


@pytest.mark.heavy
def test_it_learns_what_only_the_group_shows(training: ModuleType) -> None:
    draw = np.random.default_rng(0)

    def page() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], list[npt.NDArray[np.int64]]]:
        count = 40
        template = draw.integers(0, 4, count)
        chosen = draw.random(4) < 0.5
        features = draw.normal(size=(count, 2)).astype(np.float32)
        features[:, 1] += np.where(chosen[template], 0.8, -0.8)  # drowned in noise for a block alone
        groups = [template, *[np.zeros(count, np.int64)] * (GROUPS - 1)]
        return features, chosen[template].astype(np.float32), groups

    lessons = [page() for _ in range(160)]
    samples = [
        training.Sample(
            training.logs(x), y, np.ones(len(y), np.float32), [np.unique(g, return_inverse=True)[1] for g in groups]
        )
        for x, y, groups in lessons
    ]
    network = Network(training.fit_network(samples, epochs=6))
    asked = [page() for _ in range(40)]
    right = np.mean([(network.odds(x, [Group.of(g) for g in groups]) > 0) == (y > 0) for x, y, groups in asked])
    alone = np.mean([(x[:, 1] > 0) == (y > 0) for x, y, _ in asked])
    assert alone < 0.85
    assert right > 0.93
