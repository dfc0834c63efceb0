"""Scores of images: what the page says of them, known at once, and what their bytes say, known at assembly."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plait.filters.batch import DocumentBatch, ratio
from plait.filters.score import Score, of_documents
from plait.schemas.urls import unquoted

# OBELICS, OmniCorpus, MMC4, mOSCAR and MINT-1T name these; a word is a run of letters in the URL's path or query.
_WORDS = (
    "logo logos button buttons icon icons plugin widget widgets banner banners avatar avatars favicon porn xxx sex "
    "sprite sprites spacer pixel"
)
URL_WORDS = frozenset(_WORDS.split())
_RUN = re.compile(r"[a-z]+")
_HOST = re.compile(r"^[a-z][a-z0-9+.-]*://[^/?#]*", re.IGNORECASE)


@functools.lru_cache(maxsize=65536)
def url_word_in(url: str) -> str:
    """The first word of `URL_WORDS` in an image's URL (host left out), "" where there is none."""
    if url.startswith("data:"):
        return ""
    for match in _RUN.finditer(unquoted(_HOST.sub("", url)).lower()):
        if match[0] in URL_WORDS:
            return match[0]
    return ""


def image_url_word(documents: DocumentBatch) -> pa.Array:
    """A word in the image's URL that layout graphics and adverts have (logo, icon, banner…), "" where there is none."""
    return pa.array(
        [url_word_in(url) if url else "" for url in documents.nodes.field("image_url").to_pylist()], pa.string()
    )


def declared_width(documents: DocumentBatch) -> pa.Array:
    """Width that the page declares, in CSS pixels; null where it says nothing."""
    return documents.nodes.field("width")


def declared_height(documents: DocumentBatch) -> pa.Array:
    """Height that the page declares, in CSS pixels; null where it says nothing."""
    return documents.nodes.field("height")


def declared_side(documents: DocumentBatch) -> pa.Array:
    """The smaller of the declared sides, in CSS pixels; null where the page declares neither."""
    return pc.min_element_wise(documents.nodes.field("width"), documents.nodes.field("height"), skip_nulls=True)


def _late(name: str, kind: pa.DataType, doc: str, scope: str = "image", needs: tuple[str, ...] = ()) -> Score:
    return Score(name, (scope,), kind, doc, needs=needs, stage="assemble", stored=False)


_INT, _FLOAT = pa.int64(), pa.float64()
SCORES: tuple[Score, ...] = (
    of_documents(image_url_word, pa.string(), ("image",)),
    of_documents(declared_width, pa.int32(), ("image",)),
    of_documents(declared_height, pa.int32(), ("image",)),
    of_documents(declared_side, pa.int32(), ("image",)),
    _late("width", _INT, "Width of the picture in pixels, orientation applied."),
    _late("height", _INT, "Height of the picture in pixels, orientation applied."),
    _late("side", _INT, "The smaller side of the picture, in pixels."),
    _late("long_side", _INT, "The larger side of the picture, in pixels."),
    _late("pixels", _INT, "Width times height."),
    _late("alt", pa.string(), "Alternative text of the image, null where the page gives none."),
    _late("caption", pa.string(), "Caption of the image, null where the page gives none."),
    _late("aspect", _FLOAT, "Width divided by height."),
    _late("bytes", _INT, "Bytes of the picture as served."),
    _late("format", pa.string(), "Format of the picture: jpeg, png, webp, gif, avif, bmp, tiff."),
    _late("frames", _INT, "Frames of an animation, 1 for a still picture."),
    _late("entropy", _FLOAT, "Bits of the grey histogram: 0 for a blank picture, at most 8."),
    _late("sharpness", _FLOAT, "Variance of the Laplacian, 0 upwards; under about 100 looks blurred."),
    _late("nsfw", _FLOAT, "Probability that the picture is pornographic (Yahoo's Open-NSFW), 0 to 1."),
    _late("url_dup_count", _INT, "Documents of the build that show this URL."),
    _late("sha256_dup_count", _INT, "Occurrences of these bytes in the build."),
    _late("p_hash_dup_count", _INT, "Occurrences of this perceptual cluster in the build."),
    _late("images", _INT, "Images left in the document at assembly.", "document"),
    _late("nsfw_max", _FLOAT, "The highest ``nsfw`` of the document's pictures, dropped ones included.", "document"),
    _late("bad_images", _INT, "Pictures of the document that the list of known-bad pictures names.", "document"),
    _late(
        "words_per_image", _FLOAT, "Words of the document divided by its images at assembly.", "document", ("words",)
    ),
)


def picture_columns(info: pa.RecordBatch) -> pa.RecordBatch:
    """The columns that image rules at assembly read, from a batch with the names of `plait.schemas.shards.IMAGE_INFO`.

    Args:
        info: has width, height and any other columns; one row an image.

    Returns:
        The batch with ``side``, ``long_side``, ``pixels`` and ``aspect`` added; null where the size is not known.
    """
    width, height = info.column("width").cast(_INT), info.column("height").cast(_INT)
    columns = {name: info.column(name) for name in info.schema.names}
    columns["width"], columns["height"] = width, height
    columns["side"] = pc.min_element_wise(width, height, skip_nulls=False)
    columns["long_side"] = pc.max_element_wise(width, height, skip_nulls=False)
    columns["pixels"] = pc.multiply(width, height)
    tall = pc.if_else(pc.greater(height, 0), height, pa.scalar(None, _INT))
    columns["aspect"] = pc.divide(width.cast(_FLOAT), tall.cast(_FLOAT))
    return pa.RecordBatch.from_pydict(columns)


def assembled_columns(
    documents: pa.RecordBatch,
    images: np.ndarray,
    nsfw_max: np.ndarray | None = None,
    bad_images: np.ndarray | None = None,
    more: Mapping[str, pa.Array] | None = None,
) -> pa.RecordBatch:
    """The columns that document rules at assembly read.

    Args:
        documents: documents with their stored score columns.
        images: int64, images left in every document.
        nsfw_max: highest score of the document's pictures, NaN where none has one; None: of no document.
        bad_images: int64, pictures of the document that are known to be bad; None: in no document.
        more: further columns that are known of them.

    Returns:
        Those columns with ``images``, ``nsfw_max``, ``bad_images`` and, where ``words`` is stored,
        ``words_per_image`` (null without an image).
    """
    columns = {name: documents.column(name) for name in documents.schema.names if name not in ("nodes", "images")}
    columns |= dict(more or {})
    columns["images"] = pa.array(images, _INT)
    rows = documents.num_rows
    columns["nsfw_max"] = pa.array(np.full(rows, np.nan) if nsfw_max is None else nsfw_max, _FLOAT, from_pandas=True)
    columns["bad_images"] = pa.array(np.zeros(rows, np.int64) if bad_images is None else bad_images, _INT)
    if "words" in columns:
        counted = columns["words"].to_numpy(zero_copy_only=False)
        columns["words_per_image"] = pa.array(ratio(counted, images), _FLOAT, from_pandas=True)
    return pa.RecordBatch.from_pydict(columns)
