"""Export as MMC4's JSON lines, in the form that OpenFlamingo reads: pictures inside, as base64.

MMC4 gives each picture a sentence by CLIP similarity, and so does this where the corpus was built with a model:
sentences are its spans, pictures stand in the order of their sentences (readers that put the k-th picture at the k-th
sentence that has one need that), and the matrix holds the cosines that the corpus keeps (`plait.loader.matched`).
Elsewhere the natural order stands in: a picture goes with the next text, else the one before, and the matrix has a 1
there and 0 elsewhere.
"""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

from plait.loader.matched import cosine, cosines, matched_span, spans
from plait.loader.row_cells import infos, picture_name, pictures, texts
from plait.schemas.json_rows import Cell


def write_mmc4(folder: Path, number: int, rows: Iterator[dict[str, Cell]]) -> tuple[str, int]:
    """`docs_shard_<n>_v2.jsonl.zip`, as MMC4's are named."""
    stem = f"docs_shard_{number}_v2.jsonl"
    count = 0
    with zipfile.ZipFile(folder / f"{stem}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        member = zipfile.ZipInfo(stem, (1980, 1, 1, 0, 0, 0))  # the zip format's first day: no clock in the bytes
        member.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(member, "w", force_zip64=True) as file:
            for row in rows:
                document = _document(row)
                if document is not None:
                    file.write(json.dumps(document, ensure_ascii=False).encode() + b"\n")
                    count += 1
    return f"{stem}.zip", count


def _document(row: dict[str, Cell]) -> dict[str, object] | None:
    """None without a text to match pictures with."""
    sentences = spans(row)
    if sentences:
        return _matched(row, sentences)
    words = texts(row)
    places = [slot for slot, text in enumerate(words) if text is not None]
    if not places:
        return None
    number = {slot: index for index, slot in enumerate(places)}
    images, matrix = [], []
    for slot, (blob, info) in enumerate(zip(pictures(row), infos(row), strict=True)):
        if blob is None:
            continue
        matched = info.get("matched_text_index")
        if not isinstance(matched, int) or not 0 <= matched < len(places):
            matched = number[next((at for at in places if at > slot), places[-1])]
        images.append(_picture(info, blob, matched, 1.0))
        matrix.append([float(index == matched) for index in range(len(places))])
    return _line(row, [words[slot] or "" for slot in places], images, matrix)


def _matched(row: dict[str, Cell], sentences: list[str]) -> dict[str, object] | None:
    """By CLIP; pictures that have no sentence (they came from elsewhere, or cannot be decoded) are left out."""
    found = []
    for slot, (blob, info) in enumerate(zip(pictures(row), infos(row), strict=True)):
        span, sim = matched_span(info, len(sentences)), cosine(info, "matched_sim")
        if blob is not None and span is not None and sim is not None:
            found.append((span, slot, _picture(info, blob, span, sim), cosines(info, len(sentences))))
    found.sort(key=lambda one: one[:2])
    return _line(row, sentences, [one[2] for one in found], [one[3] for one in found])


def _picture(info: dict[str, Cell], blob: bytes, matched: int, sim: float) -> dict[str, object]:
    return {
        "image_name": picture_name(info),
        "raw_url": info.get("url"),
        "matched_text_index": matched,
        "matched_sim": sim,
        "image_base64": base64.b64encode(blob).decode(),
    }


def _line(
    row: dict[str, Cell], sentences: list[str], images: list[dict[str, object]], matrix: list[list[float]]
) -> dict[str, object]:
    return {
        "url": row["url"],
        "text_list": sentences,
        "image_info": images,
        "similarity_matrix": matrix,
        "could_have_url_duplicate": 0,
    }
