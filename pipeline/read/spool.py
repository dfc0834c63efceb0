"""Archives without random access, inflated once into a folder; disk, never memory, holds them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from plait.pipeline.read.places import GZIP, layout_of, skip_padding
from plait.pipeline.read.source import Source, written
from plait.schemas.errors import UnitError

_PIECE, _SCAN = 1 << 16, 1 << 20


def spooler(source: Source, folder: Path, name: str, limit: int) -> Callable[[int], tuple[Source, str]]:
    """The function that inflates an archive from an offset on into ``folder/name-OFFSET.warc``; see `frames`."""

    def spool(offset: int) -> tuple[Source, str]:
        path = folder / f"{name}-{offset}.warc"
        note = path.with_suffix(".damage")
        try:
            if not path.exists():
                damage = ""
                with written(path) as out:
                    for piece in _inflated(source, offset, limit):
                        if isinstance(piece, str):
                            damage = piece
                        else:
                            out.write(piece)
                    with written(note) as remark:
                        remark.write(damage.encode())
            return Source(path.open("rb", buffering=0), path.name), note.read_text()
        except OSError as error:
            raise UnitError(f"cannot spool {name} in {folder}: {error}") from error

    return spool


def _inflated(source: Source, place: int, limit: int) -> Iterator[bytes | str]:
    """What the members from a place on inflate to, in pieces; at last a string that says what was wrong."""
    size = 0
    while place < source.size:
        if layout_of(source, place).magic != GZIP:
            if skip_padding(source, place) < source.size:
                yield f"no gzip member starts at {place}"
            return
        engine = zlib.decompressobj(31)
        data = source.peek(place, _PIECE)
        while True:
            try:
                piece = engine.decompress(data, _SCAN)
            except zlib.error as error:
                yield f"the gzip member at {place} is damaged: {error}"
                return
            size += len(piece)
            if size > limit:
                yield piece[: limit - size]
                yield f"the archive inflates to more than {limit} bytes"
                return
            yield piece
            if engine.eof:
                break
            place += len(data) - len(engine.unconsumed_tail)
            data = source.peek(place, _PIECE)
            if not data and not piece:
                yield "the archive breaks off"
                return
        place += len(data) - len(engine.unused_data)
