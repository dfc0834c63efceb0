"""Train the network of `plait.pipeline.extract.network`; `benchmarks/train_blocks.py` calls it.

The network is written twice: here in torch, which learns the weights, and in the package in numpy, which applies them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from plait.pipeline.extract.frame import Frame, Ints
from plait.pipeline.extract.network import FEATURE_BOUND, LARGEST, LAYERS, UNIT, WIDTH, block_groups, logs
from plait.pipeline.extract.segment import Layout

GROUPS = 5
GAP = 1 << LAYERS  # empty rows between two pages of a batch: more than the widest step
EPOCHS = 12
BATCH = 8  # pages
RATE = 2e-3
DECAY = 0.02
HIDDEN_LOST, INPUTS_LOST = 0.15, 0.1  # of the columns, in each batch
Arrays = dict[str, npt.NDArray[np.generic]]


@dataclass(slots=True)
class Sample:
    """A page as the network is taught it.

    Attributes:
        features: shape (blocks, features), as logarithms of their sizes.
        labels: share of each block that is gold.
        weights: of the blocks in the loss.
        groups: numbers of the blocks' groups, counted from 0.
    """

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    groups: list[Ints]


def make_sample(
    layout: Layout, f: Frame, labels: npt.NDArray[np.float64], weights: npt.NDArray[np.float64],
    features: npt.NDArray[np.float32],
) -> Sample:  # fmt: skip
    """A page, from what `train_blocks.TrainPage` holds and its features."""
    groups = [np.unique(group, return_inverse=True)[1] for group in block_groups(layout, f)]
    return Sample(logs(features), labels.astype(np.float32), weights.astype(np.float32), groups)


@dataclass(slots=True)
class Batch:
    """Pages one after the other, with empty rows between them."""

    features: Tensor
    labels: Tensor
    weights: Tensor
    real: Tensor
    groups: list[tuple[Tensor, int]]


def make_batch(samples: Sequence[Sample]) -> Batch:
    """Several pages as one sequence."""
    features, labels, weights, real = [], [], [], []
    groups: list[list[Ints]] = [[] for _ in range(GROUPS)]
    tops = [0] * GROUPS
    gap = np.zeros(GAP, np.float32)
    for sample in samples:
        features += [sample.features, np.zeros((GAP, sample.features.shape[1]), np.float32)]
        labels += [sample.labels, gap]
        weights += [sample.weights, gap]
        real += [np.ones(len(sample.labels), np.float32), gap]
        for kind, group in enumerate(sample.groups):
            groups[kind] += [group + tops[kind], np.full(GAP, tops[kind] + group.max() + 1)]
            tops[kind] += int(group.max()) + 2
    tensor = torch.from_numpy
    return Batch(
        tensor(np.concatenate(features)), tensor(np.concatenate(labels)), tensor(np.concatenate(weights)),
        tensor(np.concatenate(real))[:, None],
        [(tensor(np.concatenate(g)), top) for g, top in zip(groups, tops, strict=True)],
    )  # fmt: skip


class Rows(nn.Module):
    """Layer normalisation as the package does it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, rows: Tensor) -> Tensor:
        return self.norm(rows.clamp(max=LARGEST))


class Step(nn.Module):
    """A layer: a row, those a step before and after, and the means of its groups."""

    def __init__(self, width: int, groups: int, step: int) -> None:
        super().__init__()
        self.near = nn.Linear(width, 3 * width, bias=False)
        self.group = nn.ModuleList([nn.Linear(width, width, bias=False) for _ in range(groups)])
        self.bias = nn.Parameter(torch.zeros(width))
        self.rows = Rows(width)
        self.step = step

    def forward(self, h: Tensor, groups: list[tuple[Tensor, int]], sizes: list[Tensor], lost: float) -> Tensor:
        own, earlier, later = self.near(h).chunk(3, dim=1)
        z = own + self.bias + functional.pad(earlier[: -self.step], (0, 0, self.step, 0))
        z = z + functional.pad(later[self.step :], (0, 0, 0, self.step))
        for (number, count), size, layer in zip(groups, sizes, self.group, strict=True):
            mean = torch.zeros(count, h.shape[1]).index_add(0, number, h) / size
            z = z + layer(mean).index_select(0, number)
        return self.rows(h + functional.relu(z) * kept_columns(h.shape[1], lost))


def kept_columns(width: int, lost: float) -> Tensor:
    """Factors that blot out some columns of a whole batch."""
    return (torch.rand(width) >= lost).float() / (1.0 - lost) if lost else torch.ones(width)


def sizes_of(groups: list[tuple[Tensor, int]], real: Tensor) -> list[Tensor]:
    """Rows of each group that are not empty."""
    return [torch.zeros(count, 1).index_add(0, number, real).clamp(min=1.0) for number, count in groups]


class Teacher(nn.Module):
    """The network, in torch."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.inputs = nn.Linear(features, WIDTH)
        self.first = Rows(WIDTH)
        self.layers = nn.ModuleList([Step(WIDTH, GROUPS, 1 << k) for k in range(LAYERS)])
        self.out = nn.Linear(WIDTH, 1)

    def forward(self, batch: Batch, x: Tensor) -> Tensor:
        lost, inputs_lost = (HIDDEN_LOST, INPUTS_LOST) if self.training else (0.0, 0.0)
        real = batch.real
        h = self.first(functional.relu(self.inputs(x * kept_columns(x.shape[1], inputs_lost)))) * real
        sizes = sizes_of(batch.groups, real)
        for layer in self.layers:
            h = layer(h, batch.groups, sizes, lost) * real
        odds: Tensor = self.out(h)[:, 0]
        return odds


def fit_network(samples: Sequence[Sample], *, seed: int = 0, epochs: int = EPOCHS) -> Arrays:
    """Weights of a network taught by these pages, as `plait.pipeline.extract.network.Network` reads them."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    draw = np.random.default_rng(seed)
    mean, scale = _moments([sample.features for sample in samples])
    teacher = Teacher(len(mean))
    optimizer = torch.optim.AdamW(teacher.parameters(), lr=RATE, weight_decay=DECAY)
    batches = len(samples) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=epochs * batches + 1, pct_start=0.15)
    bound = FEATURE_BOUND
    for _ in range(epochs):
        teacher.train()
        order = draw.permutation(len(samples))
        for number in range(batches):
            batch = make_batch([samples[i] for i in order[number * BATCH : (number + 1) * BATCH]])
            x = ((batch.features - torch.from_numpy(mean)) / torch.from_numpy(scale)).clamp(-bound, bound)
            loss = _loss(teacher(batch, x), batch.labels, batch.weights)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(teacher.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return export_network(teacher) | {"mean": mean, "scale": scale}


def _loss(odds: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    each = functional.binary_cross_entropy_with_logits(odds, labels, reduction="none")
    return (each * weights).sum() / weights.sum().clamp(min=1e-6)


def _moments(rows: Sequence[npt.NDArray[np.float32]]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mean and standard deviation of the columns."""
    together = np.concatenate(rows)
    return together.mean(axis=0), together.std(axis=0) + np.float32(1e-3)


def export_network(teacher: Teacher) -> Arrays:
    """Weights in units of 1/UNIT, as 16-bit integers."""
    found: dict[str, Tensor] = {
        "in": teacher.inputs.weight.T, "in_bias": teacher.inputs.bias,
        "out": teacher.out.weight.T, "out_bias": teacher.out.bias,
    }  # fmt: skip
    norms = {"first": teacher.first}
    for k, layer in enumerate(teacher.layers):
        found |= {f"near_{k}": layer.near.weight.T, f"bias_{k}": layer.bias}
        found[f"group_{k}"] = torch.cat([part.weight.T for part in layer.group])
        norms[f"layer_{k}"] = layer.rows
    for name, rows in norms.items():
        found |= {f"{name}_gain": rows.norm.weight, f"{name}_shift": rows.norm.bias}
    limits = np.iinfo(np.int16)
    return {
        name: np.clip(np.rint(weights.detach().numpy() * UNIT), limits.min, limits.max).astype(np.int16)
        for name, weights in found.items()
    }
