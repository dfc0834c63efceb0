"""Documents as a trainer sees them: nodes in reading order, pictures decoded when asked for."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa

from plait.schemas.errors import CorpusError

if TYPE_CHECKING:
    from PIL import Image

Value: TypeAlias = "str | int | float | bool | bytes | datetime | None"

_LISTS = ("texts", "tags", "images", "image_info")


@dataclass(frozen=True)
class Text:
    """A text node."""

    text: str
    tag: str | None = None


@dataclass(frozen=True)
class Picture:
    """An image node; ``data`` is None where the corpus holds its URL alone."""

    data: memoryview | None = field(repr=False)
    path: str | None
    info: dict[str, Value] = field(repr=False)

    @property
    def url(self) -> str | None:
        """Where the page had it from."""
        found = self.info.get("url")
        return found if isinstance(found, str) else None

    @property
    def alt(self) -> str | None:
        """The page's alternative text."""
        found = self.info.get("alt")
        return found if isinstance(found, str) else None

    def decode(self) -> Image.Image:
        """The picture, upright (EXIF orientation applied), in the mode it is stored in.

        Raises:
            CorpusError: the corpus has no bytes of it.
            OSError: the bytes cannot be decoded.
        """
        from PIL import Image, ImageOps

        if self.data is None:
            raise CorpusError(f"the corpus holds the URL of this picture only: {self.url}")
        image = Image.open(io.BytesIO(self.data))
        image.load()
        return ImageOps.exif_transpose(image)

    def __reduce__(self) -> tuple[object, ...]:
        """For other processes: with a copy of the bytes."""
        return _picture, (bytes(self.data) if self.data is not None else None, self.path, self.info)


def _picture(data: bytes | None, path: str | None, info: dict[str, Value]) -> Picture:
    return Picture(memoryview(data) if data is not None else None, path, info)


Node: TypeAlias = Text | Picture


@dataclass(frozen=True)
class Document:
    """One document.

    Attributes:
        doc_id: 16 bytes.
        nodes: in reading order.
        fields: its other columns, scores included, as far as they were read.
    """

    doc_id: bytes
    nodes: tuple[Node, ...]
    fields: dict[str, Value] = field(repr=False)

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts alone."""
        return tuple(node.text for node in self.nodes if isinstance(node, Text))

    @property
    def images(self) -> tuple[Picture, ...]:
        """The pictures alone."""
        return tuple(node for node in self.nodes if isinstance(node, Picture))

    @property
    def url(self) -> str:
        """Of the page."""
        return str(self.fields.get("url"))

    @property
    def lang(self) -> str | None:
        """Language, as ISO 639 code."""
        found = self.fields.get("lang")
        return found if isinstance(found, str) else None


class Rows:
    """A batch of shard rows as documents. Image bytes are views, never copies.

    Columns that were not read are left out of the documents: without ``images`` their pictures have no bytes, without
    ``image_info`` they are told by ``images`` alone.

    Args:
        batch: of `shard_schema`, any of its columns, of ``image_info`` any fields.
        pictures: bytes of all its pictures in order, where they are not in the batch.
    """

    def __init__(self, batch: pa.RecordBatch, pictures: Sequence[memoryview] | None = None) -> None:
        self._rows = int(batch.num_rows)
        names = batch.schema.names
        self._plain = {name: batch.column(name) for name in names if name not in _LISTS}
        self._texts = _Cells(batch.column("texts")) if "texts" in names else None
        self._tags = _Cells(batch.column("tags")) if "tags" in names else None
        self._infos = _Cells(batch.column("image_info")) if "image_info" in names else None
        self._images = _ImageCells(batch.column("images"), pictures) if "images" in names else None

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, row: int) -> Document:
        if not 0 <= row < self._rows:
            raise IndexError(f"row {row} of a batch of {self._rows}")
        fields: dict[str, Value] = {name: column[row].as_py() for name, column in self._plain.items()}
        doc_id = fields.pop("doc_id", b"")
        return Document(doc_id if isinstance(doc_id, bytes) else b"", tuple(self._nodes(row)), fields)

    def _nodes(self, row: int) -> list[Node]:
        texts = self._texts.of(row) if self._texts else None
        infos = self._infos.of(row) if self._infos else None
        images = self._images.of(row) if self._images else None
        tags = self._tags.of(row) if self._tags else None
        slots = max((len(cells) for cells in (texts, infos, images) if cells is not None), default=0)
        nodes: list[Node] = []
        for slot in range(slots):
            text = texts[slot] if texts is not None else None
            if isinstance(text, str):
                tag = tags[slot] if tags is not None else None
                nodes.append(Text(text, tag if isinstance(tag, str) else None))
                continue
            info = infos[slot] if infos is not None else None
            image = images[slot] if images is not None else None
            if info is None and image is None:
                continue  # a text whose column was not read
            data, path = image if image is not None else (None, None)
            nodes.append(Picture(data, path, info if isinstance(info, dict) else {}))
        return nodes


class _Cells:
    """A list column as Python values, converted all at once when the first row is asked for."""

    def __init__(self, column: pa.ListArray) -> None:
        self._column = column
        self._offsets: list[int] = column.offsets.to_pylist()
        self._values: list[Value | dict[str, Value]] | None = None

    def of(self, row: int) -> list[Value | dict[str, Value]]:
        if self._values is None:
            self._values = self._column.values.to_pylist()
        return self._values[self._offsets[row] : self._offsets[row + 1]]


class _ImageCells:
    """The column ``images``: bytes of a row's cells as views."""

    def __init__(self, column: pa.ListArray, pictures: Sequence[memoryview] | None) -> None:
        self._offsets: list[int] = column.offsets.to_pylist()
        cells = column.values
        paths: list[str | None] = cells.field("path").to_pylist()
        valid = cells.is_valid().to_pylist()
        if pictures is None:
            held = _views(cells.field("bytes"))
        else:
            # A picture with bytes has a path, and one without has none: the pictures are those of the paths, in order.
            supply = iter(pictures)
            held = [
                next(supply) if there and path is not None else None for there, path in zip(valid, paths, strict=True)
            ]
        self._cells = [(data, path) if there else None for there, data, path in zip(valid, held, paths, strict=True)]

    def of(self, row: int) -> list[tuple[memoryview | None, str | None] | None]:
        return self._cells[self._offsets[row] : self._offsets[row + 1]]


def _views(data: pa.Array) -> list[memoryview | None]:
    """The values of a binary array as views of its buffer."""
    offsets, held = data.buffers()[1:]
    if offsets is None or held is None:
        return [None] * len(data)
    kind = np.int64 if pa.types.is_large_binary(data.type) else np.int32
    ends = np.frombuffer(offsets, kind)[data.offset : data.offset + len(data) + 1].tolist()
    view, valid = memoryview(held), data.is_valid().to_pylist()
    return [view[ends[at] : ends[at + 1]] if there else None for at, there in enumerate(valid)]
