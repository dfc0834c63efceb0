"""The loaders that `benchmarks/loader.py` compares, each as its users set it up, over the same documents.

Each gives an endless stream of batches of 32 documents; a document is a list of texts and pictures, a picture its
bytes or RGB pixels of 224 x 224. All shuffle. plait decodes with its own decoder, the others with Pillow, whole, which
is what each of them does by default; "webdataset, our decoder" decodes and crosses from workers as plait does, and
tells what of the difference is the shards and their reader.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 224
BATCH = 32
WINDOW = 256  # documents of a shuffle
ENDLESS = 10**9

Decode = Callable[[bytes], object]
Stream = Callable[[Path, int, bool], Iterator[list]]


def with_pillow(data: bytes) -> np.ndarray:
    """Whole, then resized."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def with_ours(data: bytes) -> np.ndarray:
    """At the nearest eighth above, then resized."""
    from plait.loader import Resize

    return Resize(SIDE).apply(data)[0]


def as_it_is(data: bytes) -> bytes:
    return data


def batches(dataset: object, workers: int, collate: Callable[[list], list] = list) -> Iterator[list]:
    from torch.utils.data import DataLoader

    options = {"prefetch_factor": 2} if workers else {}
    return iter(DataLoader(dataset, batch_size=BATCH, num_workers=workers, collate_fn=collate, **options))


def plait(folder: Path, workers: int, decode: bool, check_pages: bool = True) -> Iterator[list]:
    from plait.loader import Batch, Corpus, InterleavedDataset, Order, Resize, SampleRecipe, Source

    source = Source(Corpus(folder, check_pages=check_pages))
    order = Order((source,), seed=1, window=WINDOW, length=ENDLESS)
    recipe = SampleRecipe(pixels=Resize(SIDE) if decode else None)
    for batch in batches(InterleavedDataset(order, recipe), workers, Batch):
        yield [sample.nodes for sample in batch]


def plait_unchecked(folder: Path, workers: int, decode: bool) -> Iterator[list]:
    return plait(folder, workers, decode, check_pages=False)


def webdataset(
    folder: Path, workers: int, decode: bool, decoder: Decode = with_pillow, collate: Callable[[list], list] = list
) -> Iterator[list]:
    import webdataset as wds

    shards = [str(path) for path in sorted((folder / "webdataset").glob("*.tar"))]
    made = decoder if decode else as_it_is

    def document(sample: dict) -> list:
        found = json.loads(sample["json"])
        return [
            text if name is None else made(sample[name])
            for text, name in zip(found["texts"], found["images"], strict=True)
        ]

    dataset = wds.WebDataset(shards, shardshuffle=100, seed=1).repeat().shuffle(WINDOW).map(document)
    return batches(dataset, workers, collate)


def webdataset_ours(folder: Path, workers: int, decode: bool) -> Iterator[list]:
    from plait.loader import Batch

    return webdataset(folder, workers, decode, with_ours, Batch)


def datasets(folder: Path, workers: int, decode: bool) -> Iterator[list]:
    import datasets as hf

    made = with_pillow if decode else as_it_is
    files = [str(path) for path in sorted((folder / "data").iterdir())]
    loaded = hf.load_dataset("parquet", data_files=files, split="train", streaming=True, columns=["texts", "images"])
    loaded = loaded.cast_column("images", hf.List(hf.Image(decode=False))).shuffle(seed=1, buffer_size=WINDOW)

    def document(row: dict) -> dict:
        cells = zip(row["texts"], row["images"], strict=True)
        return {"nodes": [text if cell is None else made(cell["bytes"]) for text, cell in cells]}

    mapped = loaded.map(document, remove_columns=["texts", "images"]).repeat(None)
    for batch in batches(mapped, workers):
        yield [row["nodes"] for row in batch]


def mds(folder: Path, workers: int, decode: bool) -> Iterator[list]:
    import torchvision_standin  # noqa: F401  (of tests/loader)
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    class Interleaved(StreamingDataset):
        def __iter__(self) -> Iterator[list]:
            while True:
                yield from super().__iter__()

        def __getitem__(self, at: int) -> list:
            row = super().__getitem__(at)
            if decode:  # opened by MDS with Pillow, loaded when asked for
                pictures = [
                    np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
                    for image in row["images"]
                ]
            else:
                pictures = _blobs(row["images"])
            slots = iter(pictures)
            return [
                text if text is not None else next(slots)
                for text, kept in zip(row["texts"], row["slots"], strict=True)
                if text is not None or kept
            ]

    clean_stale_shared_memory()
    dataset = Interleaved(local=str(folder / "mds"), shuffle=True, shuffle_seed=1, batch_size=BATCH)
    if not decode:  # pictures' bytes as they are stored, which Pillow would otherwise open
        for shard in dataset.shards:
            columns = zip(shard.column_names, shard.column_encodings, strict=True)
            shard.column_encodings = ["bytes" if name == "images" else kind for name, kind in columns]
    return batches(dataset, workers)


def _blobs(payload: bytes) -> list[bytes]:
    """The pictures of MDS's ``list[jpeg]``: u32 0, u32 how many, u32 sizes, bytes."""
    number = int.from_bytes(payload[4:8], "little")
    ends = 8 + 4 * number + np.cumsum(np.frombuffer(payload, "<u4", number, 8), dtype=np.int64)
    starts = [8 + 4 * number, *ends.tolist()]
    return [payload[start:stop] for start, stop in zip(starts[:-1], ends.tolist(), strict=True)]


def energon(folder: Path, workers: int, decode: bool) -> Iterator[list]:
    from megatron.energon import DefaultTaskEncoder, WorkerConfig, get_loader, get_train_dataset, stateless

    made = with_pillow if decode else as_it_is

    class Encoder(DefaultTaskEncoder):
        @stateless
        def encode_sample(self, sample: object) -> list:
            return [node if isinstance(node, str) else made(node) for node in sample.sequence]

        @stateless
        def batch(self, samples: list) -> list:
            return list(samples)

    dataset = get_train_dataset(
        str(folder / "webdataset"),
        worker_config=WorkerConfig(rank=0, world_size=1, num_workers=workers),
        batch_size=BATCH,
        shuffle_buffer_size=WINDOW,
        max_samples_per_sequence=None,
        task_encoder=Encoder(),
        auto_decode=False,
    )
    return iter(get_loader(dataset))


SYSTEMS: dict[str, Stream] = {
    "plait": plait,
    "plait, no CRC": plait_unchecked,
    "webdataset": webdataset,
    "webdataset, our decoder": webdataset_ours,
    "datasets": datasets,
    "mds": mds,
    "energon": energon,
}


def images_of(batch: list) -> int:
    return sum(not isinstance(node, str) for document in batch for node in document)
