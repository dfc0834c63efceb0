"""Export as MMC4's JSON lines, in the form that OpenFlamingo reads: pictures inside, as base64.

MMC4 gives each picture a sentence by CLIP similarity. Where the corpus has no such column, the natural order stands
in: a picture goes with the next text, else the one before, and the similarity matrix has a 1 there and 0 elsewhere.
"""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

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
        images.append(
            {
                "image_name": picture_name(info),
                "raw_url": info.get("url"),
                "matched_text_index": matched,
                "matched_sim": 1.0,
                "image_base64": base64.b64encode(blob).decode(),
            }
        )
        matrix.append([float(index == matched) for index in range(len(places))])
    return {
        "url": row["url"],
        "text_list": [words[slot] for slot in places],
        "image_info": images,
        "similarity_matrix": matrix,
        "could_have_url_duplicate": 0,
    }
