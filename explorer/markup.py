"""Small pieces of HTML that the report's sections share."""

from __future__ import annotations


def figure(chart: str, caption: str) -> str:
    """A chart with its caption (HTML)."""
    return f"<figure>{chart}<figcaption>{caption}</figcaption></figure>"


def share(part: int, whole: int) -> str:
    """A share in percent; a dash where there is no whole."""
    return f"{part / whole:.1%}" if whole else "–"


def in_bytes(count: int) -> str:
    """A number of bytes in words."""
    amount = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:,.0f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"
