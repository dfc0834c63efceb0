"""Exports as tar files: Energon's and webdataset's layout, the uniform one of Hugging Face, MINT-1T's."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from plait.loader.decode import Pixels, decode
from plait.loader.row_cells import infos, key, pictures
from plait.schemas.json_rows import Cell, to_json_value
from plait.schemas.tar_samples import SampleShard, TarFile, energon_files


def write_webdataset(folder: Path, number: int, rows: Iterator[dict[str, Cell]]) -> tuple[str, int]:
    """One shard of `schemas.tar_samples` with its `.tar.idx`."""
    name = f"shard-{number:05d}.tar"
    count = 0
    with (folder / name).open("wb") as file, (folder / f"{name}.idx").open("wb") as index:
        shard = SampleShard(file, index)
        for count, row in enumerate(rows, 1):  # noqa: B007
            shard.add(row)
        shard.close()
    return name, count


def energon_metadata(folder: Path, counts: dict[str, int]) -> None:
    """`.nv-meta` of a folder of webdataset shards."""
    for path, text in energon_files(counts).items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, "utf-8")


def write_hf_tar(folder: Path, number: int, rows: Iterator[dict[str, Cell]]) -> tuple[str, int]:
    """A shard whose samples all have the same two fields: ``json`` and ``images.mp``, a msgpack list of bytes.

    Hugging Face's builder takes a dataset's fields from its first samples, so a field an image would break it. The
    JSON's ``images`` holds each slot's place in the list, or null.
    """
    name = f"shard-{number:05d}.tar"
    count = 0
    with (folder / name).open("wb") as file:
        tar = TarFile(file)
        for count, row in enumerate(rows, 1):  # noqa: B007
            stem, blobs = key(row), pictures(row)
            slots: list[int | None] = []
            for blob in blobs:
                slots.append(None if blob is None else sum(slot is not None for slot in slots))
            held = [blob for blob in blobs if blob is not None]
            rest = {field: to_json_value(value) for field, value in row.items() if field != "images"}
            tar.add(f"{stem}.images.mp", packed(held))
            tar.add(f"{stem}.json", json.dumps({**rest, "images": slots}, ensure_ascii=False).encode())
        tar.close()
    return name, count


def write_mint(folder: Path, number: int, rows: Iterator[dict[str, Cell]]) -> tuple[str, int]:
    """MINT-1T's layout: ``json`` with texts, image names and metadata, and one TIFF with a page an image (lossless).

    Pictures that cannot be decoded are left out, and documents that are then without one.
    """
    name = f"shard-{number:05d}.tar"
    count = 0
    with (folder / name).open("wb") as file:
        tar = TarFile(file)
        for row in rows:
            pages: list[Pixels] = []
            names: list[str | None] = []
            metadata = []
            for blob, info in zip(pictures(row), infos(row), strict=True):
                try:
                    page = decode(blob) if blob is not None else None
                except OSError:
                    page = None
                if page is None:
                    names.append(None)
                    continue
                names.append(f"page_0_image_{len(pages)}")
                digest = info.get("sha256")
                metadata.append(
                    {"height": page.shape[0], "width": page.shape[1], "page": 0, "xref": len(pages),
                     "sha256": digest.hex() if isinstance(digest, bytes) else None}
                )  # fmt: skip
                pages.append(page)
            if not pages:
                continue
            sample = {"texts": row["texts"], "images": names, "image_metadata": metadata, "url": row["url"]}
            tar.add(f"{key(row)}.json", json.dumps(sample, ensure_ascii=False).encode())
            tar.add(f"{key(row)}.tiff", _tiff(pages))
            count += 1
        tar.close()
    return name, count


def _tiff(pages: Sequence[Pixels]) -> bytes:
    from PIL import Image

    images = [Image.fromarray(page) for page in pages]
    file = io.BytesIO()
    images[0].save(file, "tiff", save_all=True, append_images=images[1:], compression="tiff_deflate")
    return file.getvalue()


def packed(blobs: Sequence[bytes]) -> bytes:
    """A list of bytes as msgpack: array 32 of bin 32, which every reader takes whatever the lengths."""
    parts = [b"\xdd" + struct.pack(">I", len(blobs))]
    for blob in blobs:
        parts += [b"\xc6" + struct.pack(">I", len(blob)), blob]
    return b"".join(parts)
