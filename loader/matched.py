"""What CLIP says of a document's pictures, for the exports: its spans, and what each picture is matched with."""

from __future__ import annotations

from plait.loader.row_cells import texts
from plait.schemas.json_rows import Cell, as_list

UNKNOWN = -1.0
"""In a matrix, the cosine of a picture and a span that the corpus does not keep: below all others."""


def spans(row: dict[str, Cell]) -> list[str]:
    """The characters of a document's spans, in reading order; empty where the corpus has none."""
    words = [text for text in texts(row) if text is not None]
    found = []
    for span in as_list(row.get("clip_spans") or []):
        if isinstance(span, dict):
            text, start, end = span["text"], span["start"], span["end"]
            if isinstance(text, int) and isinstance(start, int) and isinstance(end, int):
                found.append(words[text][start:end])
    return found


def matched_span(info: dict[str, Cell], count: int) -> int | None:
    """Number of the span that a picture is assigned to, None where it is assigned to none."""
    span = info.get("matched_span")
    return span if isinstance(span, int) and 0 <= span < count else None


def cosine(info: dict[str, Cell], name: str) -> float | None:
    """A cosine of a picture's."""
    value = info.get(name)
    return value if isinstance(value, float) else None


def cosines(info: dict[str, Cell], count: int) -> list[float]:
    """A picture's cosine with each of ``count`` spans; `UNKNOWN` for those that the corpus does not keep."""
    row = [value for value in as_list(info.get("clip_row") or []) if isinstance(value, float)]
    if len(row) == count:
        return row
    known = [UNKNOWN] * count
    for entry in as_list(info.get("clip_top") or []):
        if isinstance(entry, dict) and isinstance(entry["span"], int) and isinstance(entry["sim"], float):
            known[entry["span"]] = entry["sim"]
    span, sim = matched_span(info, count), cosine(info, "matched_sim")
    if span is not None and sim is not None:
        known[span] = sim
    return known


def best_span(info: dict[str, Cell], words: list[str]) -> str | None:
    """The characters of the span that is most similar to a picture."""
    known = cosines(info, len(words))
    return words[max(range(len(words)), key=known.__getitem__)] if max(known, default=UNKNOWN) > UNKNOWN else None
