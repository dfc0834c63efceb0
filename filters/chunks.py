"""Lines and chunks, the pieces of texts between whitespace, found for whole batches at once over their UTF-8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

_FEED = ord("\n")
_BLANK = np.zeros(256, bool)
_SPACE = ord(" ")
_BLANKS = bytes([9, 10, 11, 12, 13, 28, 29, 30, 31, _SPACE])
_BLANK[list(_BLANKS)] = True
# What `str.split` takes for whitespace beyond ASCII, by its first byte: the bytes that follow.
_FURTHER = {
    0xC2: (b"\x85", b"\xa0"),
    0xE1: (b"\x9a\x80",),
    0xE2: (*(bytes([0x80, low]) for low in (*range(0x80, 0x8B), 0xA8, 0xA9, 0xAF)), b"\x81\x9f"),
    0xE3: (b"\x80\x80",),
}


def ramps(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Every start counted on: starts[0], starts[0] + 1 and so on, counts[0] of them, then starts[1]."""
    ends = np.cumsum(counts)
    steps = np.arange(int(ends[-1]) if len(ends) else 0)
    return np.asarray(steps + np.repeat(starts - (ends - counts), counts))


def each(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """values[places] for places within bounds, in two thirds of the time: there is nothing to clip."""
    return np.asarray(values.take(places, mode="clip")) if len(places) else values[:0]


class Utf8(NamedTuple):
    """Texts in a row.

    Attributes:
        data: uint8, their UTF-8.
        bounds: int32 of length texts + 1: text i is data[bounds[i] : bounds[i + 1]].
    """

    data: np.ndarray
    bounds: np.ndarray


def spans(array: pa.StringArray | pa.BinaryArray) -> Utf8:
    """The bytes of an array without nulls."""
    _, offsets, values = array.buffers()
    if not len(array):
        return Utf8(np.zeros(0, np.uint8), np.zeros(1, np.int32))
    bounds = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    data = np.frombuffer(values, np.uint8) if values is not None else np.zeros(0, np.uint8)
    return Utf8(data[bounds[0] : bounds[-1]], bounds - bounds[0] if bounds[0] else bounds)


def utf8(texts: Sequence[str]) -> Utf8:
    """The bytes of texts without lone surrogates."""
    return spans(pa.array(texts, pa.string()))


def split_lines(texts: pa.StringArray) -> tuple[pa.StringArray, np.ndarray, np.ndarray]:
    """The lines of texts, empty ones left out.

    Args:
        texts: without nulls, none of them empty.

    Returns:
        All lines in order, without line feeds; int64, the text of each; and int32, the line feeds before each since the
        line before it in its text, 1 for a text's first.
    """
    data, bounds = spans(texts)
    feeds = np.flatnonzero(data == _FEED)
    if not len(feeds):
        return texts, np.arange(len(texts)), np.ones(len(texts), np.int32)
    # A piece ends at a line feed or at the end of its text; where both stand at one place the text's end is the first.
    ends = np.concatenate([bounds[1:].astype(np.int64), feeds])
    fed = np.arange(len(ends)) >= len(texts)
    order = np.argsort(2 * ends + fed)
    ends, fed = ends[order], fed[order]
    starts = np.concatenate([np.zeros(1, np.int64), (ends + fed)[:-1]])
    text = np.concatenate([np.zeros(1, np.int64), np.cumsum(~fed)[:-1]])
    full = np.flatnonzero(ends > starts)
    text = text[full]
    same = np.concatenate([np.zeros(1, bool), text[1:] == text[:-1]])
    gap = np.where(same, np.diff(full, prepend=-1), 1).astype(np.int32)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum((ends - starts)[full])]).astype(np.int32)
    lines = pa.StringArray.from_buffers(len(full), pa.py_buffer(offsets), pa.py_buffer(data[data != _FEED]))
    return lines, text, gap


def _blanks(data: np.ndarray) -> np.ndarray:
    """Whether every byte belongs to whitespace: bool."""
    blank = data <= 32
    if ((data < 9) | ((data > 13) & (data < 28))).any():  # controls that part nothing
        blank = _BLANK[data]
    beyond = data >= 0xC2
    if not beyond.any():
        return np.asarray(blank)
    leads = np.flatnonzero(beyond)
    for lead, tails in _FURTHER.items():
        places = leads[data[leads] == lead]
        for tail in tails:
            # Where the text is cut short after a lead byte nothing follows: UTF-8 from Arrow never is.
            hits = places[np.logical_and.reduce([data[places + 1 + k] == byte for k, byte in enumerate(tail)])]
            for step in range(len(tail) + 1):
                blank[hits + step] = True
    return np.asarray(blank)


def _without(data: np.ndarray, blank: np.ndarray) -> bytes:
    """The bytes that are not blank."""
    wide = np.flatnonzero(blank & (data > 32))
    if len(wide):
        data = data.copy()
        data[wide] = _SPACE
    return data.tobytes().translate(None, _BLANKS)  # several times as fast as data[~blank]


def split_chunks(texts: Utf8) -> tuple[pa.DictionaryArray, np.ndarray]:
    """The chunks of every text, as `str.split` gives them.

    Returns:
        All chunks in order, their UTF-8 as a dictionary; and int64 of length texts + 1: chunks
        offsets[i] : offsets[i + 1] are text i's.
    """
    data, bounds = texts
    blank = _blanks(data)
    starts, stops = ~blank, ~blank
    starts[1:] &= blank[:-1]
    stops[:-1] &= blank[1:]
    full = np.flatnonzero(np.diff(bounds))
    starts[bounds[:-1][full]] = ~blank[bounds[:-1][full]]
    stops[bounds[1:][full] - 1] = ~blank[bounds[1:][full] - 1]
    first = np.flatnonzero(starts)
    offsets = np.zeros(len(first) + 1, np.int32)
    np.cumsum(np.flatnonzero(stops) + 1 - first, out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(_without(data, blank))]
    chunks = pa.BinaryArray.from_buffers(pa.binary(), len(first), buffers).dictionary_encode()
    return chunks, np.searchsorted(first, bounds).astype(np.int64)
