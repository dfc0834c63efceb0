"""Chunks: the pieces of texts between whitespace, found for whole batches at once over the bytes of their UTF-8."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

_BLANK = np.zeros(256, bool)
_BLANK[[9, 10, 11, 12, 13, 28, 29, 30, 31, 32]] = True
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


def spans(array: pa.StringArray | pa.BinaryArray) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of an array without nulls in a row: uint8; and where each entry begins, and the last ends: int32."""
    _, offsets, values = array.buffers()
    if not len(array):
        return np.zeros(0, np.uint8), np.zeros(1, np.int32)
    bounds = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    data = np.frombuffer(values, np.uint8) if values is not None else np.zeros(0, np.uint8)
    return data[bounds[0] : bounds[-1]], bounds - bounds[0] if bounds[0] else bounds


def utf8(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The UTF-8 of texts in a row: uint8; and where each begins, and the last ends: int32 of length texts + 1.

    Texts are without lone surrogates.
    """
    return spans(pa.array(texts, pa.string()))


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


def split_chunks(texts: Sequence[str]) -> tuple[pa.DictionaryArray, np.ndarray]:
    """The chunks of every text, as `str.split` gives them.

    Args:
        texts: without lone surrogates.

    Returns:
        All chunks in order, their UTF-8 as a dictionary; and int64 of length texts + 1: chunks
        offsets[i] : offsets[i + 1] are text i's.
    """
    data, bounds = utf8(texts)
    solid = ~_blanks(data)
    starts, stops = solid.copy(), solid.copy()
    starts[1:] &= ~solid[:-1]
    stops[:-1] &= ~solid[1:]
    full = np.flatnonzero(np.diff(bounds))
    starts[bounds[:-1][full]] = solid[bounds[:-1][full]]
    stops[bounds[1:][full] - 1] = solid[bounds[1:][full] - 1]
    first = np.flatnonzero(starts)
    ends = np.cumsum(np.flatnonzero(stops) + 1 - first)
    offsets = np.concatenate([np.zeros(1, np.int64), ends]).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data[solid])]
    chunks = pa.BinaryArray.from_buffers(pa.binary(), len(first), buffers).dictionary_encode()
    return chunks, np.searchsorted(first, bounds).astype(np.int64)
