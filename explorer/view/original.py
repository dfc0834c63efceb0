"""The page as it was archived: its blocks, kept or left out and why, and its HTML with what acts taken out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

_TAGS: Final = (
    "a abbr article aside b blockquote br caption cite code dd del div dl dt em figcaption figure footer h1 h2 h3 h4 "
    "h5 h6 header hr i ins kbd li main mark nav ol p pre q s samp section small span strong sub sup table tbody td "
    "tfoot th thead tr u ul"
)
TAGS: Final = frozenset(_TAGS.split())
"""What is left of a page: structure and text. No image, style, form, frame, media, SVG or MathML."""

ATTRIBUTES: Final = {"td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}}
"""Links have no target: a click in the page could not be told from a request by it."""


@dataclass(frozen=True)
class Block:
    """A piece of a page in reading order.

    Attributes:
        kept: whether extraction took it.
        reason: why not; "" where it did.
        kind: a node's tag, or "img".
        text: of the block, or a picture's alternative text.
        url: of a picture.
    """

    kept: bool
    reason: str
    kind: str
    text: str
    url: str


@dataclass(frozen=True)
class Original:
    """An archived page.

    Attributes:
        blocks: of the page; none where it could not be extracted, see ``fault``.
        html: as it was archived, decoded.
        fault: why there are no blocks; "".
    """

    blocks: tuple[Block, ...]
    html: str
    fault: str = ""


class Originals(Protocol):
    """Gives archived pages. The command line makes one that reads the archives."""

    def page(self, archive_id: str | None, archive: str, offset: int, length: int | None, url: str) -> Original | None:
        """A page by its address; None where its archive is not at hand."""


def sanitised(html: str) -> str:
    """A page's structure and text, with nothing that runs, loads, submits or leads away."""
    import nh3

    clean: str = nh3.clean(
        html, tags=set(TAGS), attributes={tag: set(names) for tag, names in ATTRIBUTES.items()}, url_schemes=set(),
        link_rel=None, strip_comments=True,
        clean_content_tags={"script", "style", "template", "noscript", "svg", "math", "iframe", "object", "title"},
    )  # fmt: skip
    return clean
