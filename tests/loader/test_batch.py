"""Batches cross from worker processes through shared memory, and are what they were."""

from __future__ import annotations

import copy
import pickle
from itertools import chain

import numpy as np
import pytest

from plait.loader import Batch, Corpus, ImageTokens, Order, PackRecipe, Resize, SampleRecipe, SequenceRecipe, Source

torch = pytest.importorskip("torch", reason="needs the extra train")
from torch.utils.data import DataLoader  # noqa: E402

from plait.loader import InterleavedDataset  # noqa: E402

PACK = PackRecipe(
    lambda text: list(text.encode()), "bytes", SequenceRecipe(ImageTokens(300, each=4)), max_tokens=600, max_images=8
)


@pytest.fixture(scope="module")
def order(corpus_folder):
    return Order((Source(Corpus(corpus_folder)),), seed=7, window=16)


@pytest.mark.parametrize("recipe", [SampleRecipe(pixels=Resize(16)), SampleRecipe(pixels=None)])
def test_samples_of_workers_are_those_of_this_process(order, recipe):
    here = list(InterleavedDataset(order, recipe))
    batches = list(DataLoader(InterleavedDataset(order, recipe), 16, num_workers=1, collate_fn=Batch))
    assert all(type(batch) is Batch for batch in batches)
    for ours, theirs in zip(here, chain.from_iterable(batches), strict=True):
        assert (ours.doc_id, ours.positions, ours.texts) == (theirs.doc_id, theirs.positions, theirs.texts)
        assert [node for node in ours.nodes if isinstance(node, bytes)] == [
            node for node in theirs.nodes if isinstance(node, bytes)
        ]
        assert all((one == other).all() for one, other in zip(ours.images, theirs.images, strict=True))


def test_packs_of_workers_are_those_of_this_process_and_outlive_their_batch(order):
    dataset = InterleavedDataset(order, SampleRecipe(pixels=Resize(16)), pack=PACK)
    here = list(dataset)
    there = [pack for batch in DataLoader(dataset, 3, num_workers=1, collate_fn=Batch) for pack in batch]
    assert len(there) == len(here) > 3
    for ours, theirs in zip(here, there, strict=True):
        for name in ("tokens", "labels", "position_ids", "cu_seqlens", "image_positions", "contrastive"):
            assert (getattr(ours, name) == getattr(theirs, name)).all()
        assert ours.positions == theirs.positions
        assert all((one == other).all() for one, other in zip(ours.images, theirs.images, strict=True))
        assert all(array.ctypes.data % 64 == 0 for array in (theirs.tokens, *theirs.images))


def test_a_batch_is_copied_and_pickled_like_a_list():
    whole = Batch([{"pixels": np.arange(12).reshape(3, 4), "turned": np.arange(12).reshape(3, 4).T}, "text"])
    for other in (copy.copy(whole), copy.deepcopy(whole), pickle.loads(pickle.dumps(whole))):
        assert type(other) is Batch
        assert other[1] == "text"
        assert all((other[0][name] == whole[0][name]).all() for name in ("pixels", "turned"))
    assert pickle.loads(pickle.dumps(Batch())) == []
