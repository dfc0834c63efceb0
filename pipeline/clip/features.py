"""Features of pictures: bytes in, `plait.schemas.clip.FEATURE` rows out, decoding while the model works."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from plait.filters.clip_settings import PROMPTED, Clip, Prompts
from plait.pipeline.clip.match import zero_shot
from plait.pipeline.clip.model import ClipModel
from plait.pipeline.clip.pixels import Preprocess
from plait.pipeline.decode import DecodeLimits
from plait.schemas.clip import CACHED, FEATURE
from plait.schemas.errors import RecordError

F32: TypeAlias = npt.NDArray[np.float32]
U8: TypeAlias = npt.NDArray[np.uint8]

STORED = np.dtype("<f2")
"""Features are kept as float16: a cosine of two of them is within 2e-4 of that of the float32 ones."""
FEATURES_VERSION = 1  # raised when the same bytes and the same model would give another feature
AHEAD = 3  # batches that are decoded while the model has one
DECODERS = 2  # threads beside a model on the CPU
WAITING_BYTES = 64 << 20  # encoded pictures that wait for a decoder


@dataclass(frozen=True)
class Picture:
    """A picture to be embedded."""

    key: int
    image_id: bytes
    data: bytes


@dataclass(frozen=True)
class _Waiting:
    """A picture whose pixels are being made; its encoded bytes are held by the decoder alone."""

    key: int
    image_id: bytes
    bytes: int
    pixels: Future[U8 | None]


@dataclass(frozen=True)
class Classifier:
    """A zero-shot classifier with its prompts' features."""

    name: str
    prompts: tuple[tuple[F32, bool], ...]


def classifiers(model: ClipModel, settings: Clip) -> tuple[Classifier, ...]:
    """The recipe's classifiers; a few dozen texts, embedded once."""
    found = []
    for name in PROMPTED:
        prompts: Prompts = getattr(settings, name)
        features, _ = model.texts([*prompts.yes, *prompts.no])
        yes = [number < len(prompts.yes) for number in range(len(features))]
        found.append(Classifier(f"clip_{name}", tuple(zip(features, yes, strict=True))))
    return tuple(found)


def _pixels(preprocess: Preprocess, data: bytes, limits: DecodeLimits | None) -> U8 | None:
    try:
        return preprocess.pixels(data, limits)
    except RecordError:
        return None  # image scores have said so already, or this decoder is stricter: it has no feature


def embed(
    pictures: Iterable[Picture],
    model: ClipModel,
    named: Sequence[Classifier] = (),
    limits: DecodeLimits | None = None,
) -> Iterator[pa.RecordBatch]:
    """`FEATURE` rows, one a picture, in order, a batch of the model at a time.

    Memory: `AHEAD` + 1 batches of pixels, and `WAITING_BYTES` of encoded pictures and one more, whatever the number of
    pictures.

    Args:
        pictures: read only as far ahead as memory is bounded.
        model: loaded.
        named: zero-shot classifiers.
        limits: of decoding; what cannot be decoded has a null feature.
    """
    size = model.run.batch
    waiting: deque[_Waiting] = deque()
    source = iter(pictures)
    decoders = model.run.threads if model.run.device.startswith("cuda") else DECODERS
    with ThreadPoolExecutor(decoders) as pool:

        def fill() -> None:
            held = sum(one.bytes for one in waiting if not one.pixels.done())
            while len(waiting) < size * (AHEAD + 1) and (held < WAITING_BYTES or not waiting):
                picture = next(source, None)
                if picture is None:
                    return
                pixels = pool.submit(_pixels, model.preprocess, picture.data, limits)
                waiting.append(_Waiting(picture.key, picture.image_id, len(picture.data), pixels))
                held += len(picture.data)

        fill()
        while waiting:
            part: list[_Waiting] = []
            pixels: list[U8 | None] = []
            while waiting and len(part) < size:
                part.append(waiting.popleft())
                pixels.append(part[-1].pixels.result())
                if not waiting:
                    fill()
            fill()  # decoders go on while the model works
            yield classified(_rows(part, pixels, model), model, named)


def _rows(pictures: Sequence[_Waiting], pixels: Sequence[U8 | None], model: ClipModel) -> pa.RecordBatch:
    blank = np.zeros((*model.preprocess.size, 3), np.uint8)
    features = model.images(np.stack([blank if one is None else one for one in pixels]))
    lost = np.array([one is None for one in pixels])
    columns = [
        pa.array([picture.key for picture in pictures], pa.int64()),
        pa.array([picture.image_id for picture in pictures], pa.binary()),
        pa.array([pack(row) for row in features], pa.binary(), mask=lost),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=CACHED)


def classified(rows: pa.RecordBatch, model: ClipModel, named: Sequence[Classifier]) -> pa.RecordBatch:
    """`FEATURE` from rows of `CACHED`, with what classifiers say of the features as they are stored.

    So a feature from a cache gives the same probabilities as one that was made for this build.
    """
    known = rows.column("feature").is_valid().to_numpy(zero_copy_only=False)
    features = unpack(rows.column("feature").filter(pa.array(known)), model.width)
    columns = {name: rows.column(name) for name in CACHED.names}
    for classifier in named:
        chance = np.zeros(rows.num_rows, np.float32)
        chance[known] = zero_shot(features, list(classifier.prompts), model.scale)
        columns[classifier.name] = pa.array(chance, pa.float32(), mask=~known)
    return pa.RecordBatch.from_arrays(
        [columns.get(field.name, pa.nulls(rows.num_rows, field.type)) for field in FEATURE], schema=FEATURE
    )


def pack(feature: F32) -> bytes:
    """A feature as it is stored."""
    return feature.astype(STORED).tobytes()


def unpack(stored: pa.Array, width: int) -> F32:
    """Stored features, none null, as (n, width)."""
    rows = [np.frombuffer(value, STORED) for value in stored.to_pylist()]
    found: F32 = np.stack(rows).astype(np.float32) if rows else np.zeros((0, width), np.float32)
    return found
