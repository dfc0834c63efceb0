"""Charts as inline SVG without scripts: matplotlib draws, colours follow the page's light and dark mode."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK: Final = "#010203"  # becomes the page's text colour
FAINT: Final = "#8a8f98"
MAIN: Final = "#4c8dd6"
SECOND: Final = "#e08a3c"
WIDTH: Final = 4.2  # inches; 72 points each
BINS: Final = 40
LARGE: Final = 10_000  # from here on numbers are written "20k"


def _axes(height: float, *, constrained: bool = True) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained" if constrained else None)
    axes = figure.add_subplot()
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=10, length=0)
    return figure, axes


def _svg(figure: Figure, title: str) -> str:
    """The figure as an SVG element that scales with the page."""
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": title, "font.family": "sans-serif"}):
        figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    text = file.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    head, _, body = text.partition(">")
    head = re.sub(r'\s(width|height|version)="[^"]*"', "", head)
    unique = re.sub(r"\W+", "-", title)
    body = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{unique}-", body)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    return f'{head} role="img" aria-label="{_escaped(title)}">{body}'


def bars(title: str, labels: Sequence[str], values: Sequence[float], notes: Sequence[str] = ()) -> str:
    """Horizontal bars, the first at the top.

    Args:
        title: what a screen reader says.
        labels: of the bars.
        values: their lengths.
        notes: written behind the bars.
    """
    figure, axes = _axes(0.45 + 0.27 * len(labels))
    places = np.arange(len(labels))
    axes.barh(places, values, color=MAIN, height=0.7)
    axes.set_yticks(places, [_short(label) for label in labels])
    axes.invert_yaxis()
    axes.set_xlim(0, max([*values, 1e-9]) * 1.28)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    for place, value, note in zip(places, values, notes or [f"{value:,.0f}" for value in values], strict=True):
        axes.text(value, float(place), f" {note}", va="center", fontsize=10, color=INK)
    return _svg(figure, title)


def shares(title: str, labels: Sequence[str], kept: Sequence[float]) -> str:
    """Shares on a logarithmic axis: what is left of the documents after each stage."""
    figure, axes = _axes(0.6 + 0.3 * len(labels))
    places = np.arange(len(labels))
    low = min([share for share in kept if share > 0], default=0.01)
    floor = 10 ** np.floor(np.log10(low) - 0.3)
    axes.barh(places, [max(share, floor) for share in kept], color=MAIN, height=0.7)
    axes.set_xscale("log")
    axes.set_xlim(floor, 6)
    axes.set_yticks(places, [_short(label) for label in labels])
    axes.invert_yaxis()
    ticks = 10.0 ** np.arange(np.log10(floor), 1)
    axes.set_xticks(ticks, [f"{tick:.4%}".rstrip("0").rstrip(".") if tick < 0.01 else f"{tick:.0%}" for tick in ticks])
    axes.minorticks_off()
    for place, share in zip(places, kept, strict=True):
        axes.text(max(share, floor), float(place), f" {share:.2%}", va="center", fontsize=10, color=INK)
    return _svg(figure, title)


def histogram(title: str, values: npt.NDArray[np.float64], thresholds: Sequence[float] = ()) -> str:
    """Distribution of a score, its rules' thresholds drawn; the far ends (0.5% each) are in the first and last bar.

    A score over more than three orders of magnitude gets a logarithmic axis. A report draws one a score, up to 66: so
    the margins are fixed and the bars are one path, in a third of the time that searched margins and single bars take.
    """
    from matplotlib.ticker import EngFormatter, ScalarFormatter

    figure, axes = _axes(1.6, constrained=False)
    figure.subplots_adjust(left=0.06, right=0.94, bottom=0.17, top=0.97)
    finite = values[np.isfinite(values)]
    if len(finite):
        low, high = np.quantile(finite, [0.005, 0.995])
        low, high = min([low, *thresholds]), max([high, *thresholds])
        if low > 0 and high / low > 1000:
            axes.set_xscale("log")
            axes.minorticks_off()
            edges = np.geomspace(low, high, BINS + 1)
        else:
            edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
            plain = ScalarFormatter(useOffset=False)
            plain.set_scientific(False)
            axes.xaxis.set_major_formatter(EngFormatter(sep="") if edges[-1] >= LARGE else plain)
        counts, _ = np.histogram(np.clip(finite, edges[0], edges[-1]), edges)
        axes.stairs(counts, edges, fill=True, color=MAIN)
    for threshold in thresholds:
        axes.axvline(threshold, color=SECOND, linewidth=1.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    return _svg(figure, title)


def _short(label: str, limit: int = 30) -> str:
    return label if len(label) <= limit else label[: limit - 1] + "…"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
