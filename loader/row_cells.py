"""What a shard's row holds, slot by slot: for the exports."""

from __future__ import annotations

from plait.schemas.json_rows import Cell, as_bytes, as_list


def key(row: dict[str, Cell]) -> str:
    """The document's id in hex."""
    return as_bytes(row["doc_id"]).hex()


def pictures(row: dict[str, Cell]) -> list[bytes | None]:
    """The bytes of each slot's picture, None where there is none."""
    return [
        image["bytes"] if isinstance(image, dict) and isinstance(image["bytes"], bytes) else None
        for image in as_list(row["images"])
    ]


def infos(row: dict[str, Cell]) -> list[dict[str, Cell]]:
    """What is known of each slot's picture; empty for a text."""
    return [info if isinstance(info, dict) else {} for info in as_list(row["image_info"])]


def texts(row: dict[str, Cell]) -> list[str | None]:
    """Each slot's text, None for a picture."""
    return [text if isinstance(text, str) else None for text in as_list(row["texts"])]


def picture_format(info: dict[str, Cell]) -> str:
    """Format of a picture, "bin" where it is not known."""
    found = info.get("stored_format") or info.get("format")
    return found if isinstance(found, str) else "bin"


def picture_name(info: dict[str, Cell]) -> str:
    """A file name for a picture: its SHA-256 and its format."""
    digest = info.get("sha256")
    return f"{digest.hex() if isinstance(digest, bytes) else 'picture'}.{picture_format(info)}"
