"""Samples: what a stream gives of each document, in the order of its windows, with everything that failed counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias, TypeVar, get_args

import numpy as np

from plait.loader.decode import Pixels, Policy, Resize
from plait.loader.documents import Document, Node, Picture, Rows, Text
from plait.loader.order import Order, Place
from plait.loader.progress import Position
from plait.schemas.errors import ConfigError, CorpusError

View: TypeAlias = Literal["natural", "clip", "pairs", "text"]
OnFailure: TypeAlias = Literal["skip_image", "skip_document", "placeholder", "raise"]
OnBadShard: TypeAlias = Literal["raise", "skip"]

Item = TypeVar("Item")

MATCHED: Final = "matched_text_index"  # of schemas.clip; older corpora have no such field

BASE_COLUMNS: Final = ("doc_id", "texts")


@dataclass(frozen=True)
class SampleRecipe:
    """What a sample is.

    Attributes:
        view: "natural": texts and pictures in reading order; "clip": each picture right before the text that CLIP
            matched it with (MMC4's order; pictures without a match are left out); "pairs": one sample a picture with
            its caption, or its alternative text, or else the nearest text before it; "text": texts alone, no picture
            is read.
        pixels: how pictures are decoded and sized; None leaves their bytes as they are.
        max_images: pictures kept of a document, the first ones; the others are not decoded.
        on_failure: what a picture that cannot be decoded costs: itself, its document, nothing (a grey image stands in
            its place), or the run ("raise").
        on_bad_shard: "raise", or "skip" the documents of a row group that cannot be read.
        columns: further columns, for `Sample.fields`.
    """

    view: View = "natural"
    pixels: Policy | None = field(default_factory=lambda: Resize(224))
    max_images: int | None = None
    on_failure: OnFailure = "skip_image"
    on_bad_shard: OnBadShard = "raise"
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value, known in (
            ("view", self.view, get_args(View)),
            ("on_failure", self.on_failure, get_args(OnFailure)),
            ("on_bad_shard", self.on_bad_shard, get_args(OnBadShard)),
        ):
            if value not in known:
                raise ConfigError(f"{name} is {value!r}, it must be one of {', '.join(known)}")
        if self.max_images is not None and self.max_images < 0:
            raise ConfigError(f"max_images is {self.max_images}, it must be at least 0")

    @property
    def read(self) -> tuple[str, ...]:
        """Columns that are read."""
        if self.view == "text":
            return tuple(dict.fromkeys((*BASE_COLUMNS, *self.columns)))
        facts = ("width", "height", *(("alt", "caption") if self.view == "pairs" else (MATCHED,)))
        pictures = ("images", *(f"image_info.list.element.{name}" for name in facts))
        return tuple(dict.fromkeys((*BASE_COLUMNS, *pictures, *self.columns)))


@dataclass(frozen=True)
class Sample:
    """A document, or a pair, ready for a trainer.

    Attributes:
        doc_id: of its document, 16 bytes.
        source: number of its corpus in the mixture.
        nodes: texts (str) and images in reading order; an image is the list of its pixel arrays (more than one where
            it is tiled), or its bytes where the recipe decodes nothing.
        positions: where the sample stands: for `Progress.used`. More than one where documents before it were skipped,
            or, in a stream's last sample, after it.
        failed: what failed since the sample before (in the last: to the end): "image", "document", "placeholder",
            "shard" (a document whose shard cannot be read) -> how often.
        fields: further columns.
    """

    doc_id: bytes
    source: int
    nodes: tuple[str | list[Pixels] | bytes, ...]
    positions: tuple[Position, ...]
    failed: Mapping[str, int] = field(default_factory=dict)
    fields: Mapping[str, object] = field(default_factory=dict)

    @property
    def texts(self) -> list[str]:
        """The texts."""
        return [node for node in self.nodes if isinstance(node, str)]

    @property
    def images(self) -> list[Pixels]:
        """All pixel arrays in order."""
        return [pixels for node in self.nodes if isinstance(node, list) for pixels in node]


@dataclass(frozen=True)
class Placed:
    """A document of a window with its number there, from 0; None where its shard could not be read."""

    number: int
    source: int
    document: Document | None


class WindowReader:
    """Reads the documents of windows: each row group once a window, only the columns that are needed."""

    def __init__(self, order: Order, recipe: SampleRecipe) -> None:
        self._order = order
        self._recipe = recipe
        for source in order.sources:
            missing = [name for name in recipe.read if name.partition(".")[0] not in source.corpus.columns]
            if missing:
                raise ConfigError(f"{source.corpus.path} has no column {missing[0]!r}")
            if recipe.view != "clip":
                continue
            if source.corpus.schema.field("image_info").type.value_type.get_field_index(MATCHED) < 0:
                raise ConfigError(f"{source.corpus.path} has no CLIP columns: build it with a recipe that has them")

    def documents(self, window: int, start: int = 0) -> Iterator[Placed]:
        """The documents of a window from the ``start``-th on, in order."""
        places = self._order.places(window)
        held: dict[tuple[int, int], Rows | None] = {}
        uses = Counter((place.source, place.group) for place in places[start:])
        for number, place in enumerate(places[start:], start):
            key = (place.source, place.group)
            if key not in held:
                held[key] = self._rows(place)
            rows = held[key]
            uses[key] -= 1
            if not uses[key]:
                del held[key]  # its last document: the memory goes with the sample
            yield Placed(number, place.source, rows[place.row] if rows is not None else None)

    def size(self, window: int) -> int:
        """Documents of a window."""
        return len(self._order.places(window))

    def _rows(self, place: Place) -> Rows | None:
        corpus = self._order.sources[place.source].corpus
        try:
            return corpus.group_documents(place.group, self._recipe.read)
        except CorpusError:
            if self._recipe.on_bad_shard == "raise":
                raise
            return None


class _SpoiledError(Exception):
    """A picture could not be decoded and costs its document."""


def samples(order: Order, recipe: SampleRecipe, windows: Iterator[tuple[int, int]]) -> Iterator[Sample]:
    """Samples of windows, in order.

    Args:
        order: which documents a window has.
        recipe: what a sample is.
        windows: with the documents of each to pass over.

    Raises:
        CorpusError: a shard cannot be read and the recipe says "raise".
        OSError: a picture cannot be decoded and the recipe says "raise".
    """
    carried: list[Position] = []
    failed: Counter[str] = Counter()

    def with_rest(sample: Sample) -> Sample:
        counts = Counter(sample.failed) + failed
        return replace(sample, positions=(*sample.positions, *carried), failed=dict(counts))

    return held_back(_samples(order, recipe, windows, carried, failed), with_rest)


def held_back(made: Iterator[Item], with_rest: Callable[[Item], Item]) -> Iterator[Item]:
    """Items, each once the next is there; the last with what came after it, so that no count is lost with the end."""
    last: Item | None = None
    for item in made:
        if last is not None:
            yield last
        last = item
    if last is not None:
        yield with_rest(last)


def _samples(
    order: Order,
    recipe: SampleRecipe,
    windows: Iterator[tuple[int, int]],
    carried: list[Position],
    failed: Counter[str],
) -> Iterator[Sample]:
    """Samples; ``carried`` and ``failed`` hold what belongs to the next."""
    reader = WindowReader(order, recipe)
    for window, start in windows:
        size = reader.size(window)
        for placed in reader.documents(window, start):
            carried.append(Position(window, placed.number + 1, placed.number + 1 == size))
            made = _made(placed, recipe, failed)
            for number, sample in enumerate(made):
                # A document's pairs count as used when the last of them is.
                last = number == len(made) - 1
                positions, counts = tuple(carried) if last else (), dict(failed)
                failed.clear()
                if last:
                    carried.clear()
                yield replace(sample, positions=positions, failed=counts)


def _made(placed: Placed, recipe: SampleRecipe, failed: Counter[str]) -> list[Sample]:
    document = placed.document
    if document is None:
        failed["shard"] += 1
        return []
    nodes = kept_nodes(document.nodes, recipe)
    fields = {name: document.fields.get(name) for name in recipe.columns}
    try:
        if recipe.view == "pairs":
            pairs = [(picture, text) for picture, text in _pairs(nodes)]
            made = [[images, text] for picture, text in pairs for images in _images(picture, recipe, failed)]
        else:
            made = [_interleaved(nodes, recipe, failed)]
    except _SpoiledError:
        failed["document"] += 1
        return []
    return [Sample(document.doc_id, placed.source, tuple(nodes), (), {}, fields) for nodes in made if nodes]


def kept_nodes(nodes: Sequence[Node], recipe: SampleRecipe) -> list[Node]:
    """A document's nodes that a sample uses: pictures up to the recipe's number, and none that are URLs alone."""
    kept: list[Node] = []
    pictures = 0
    for node in _matched_order(nodes) if recipe.view == "clip" else nodes:
        if isinstance(node, Picture):
            if recipe.view == "text" or node.data is None:
                continue
            if recipe.max_images is not None and pictures >= recipe.max_images:
                continue
            pictures += 1
        kept.append(node)
    return kept


def _matched_order(nodes: Sequence[Node]) -> list[Node]:
    """Each picture right before the text that it was matched with; several in reading order, those without left out."""
    before: dict[int, list[Node]] = {}
    for node in nodes:
        matched = node.info.get(MATCHED) if isinstance(node, Picture) else None
        if isinstance(matched, int):
            before.setdefault(matched, []).append(node)
    texts = [node for node in nodes if isinstance(node, Text)]
    return [node for number, text in enumerate(texts) for node in (*before.get(number, []), text)]


def _interleaved(nodes: Sequence[Node], recipe: SampleRecipe, failed: Counter[str]) -> list[str | list[Pixels] | bytes]:
    made: list[str | list[Pixels] | bytes] = []
    for node in nodes:
        if isinstance(node, Text):
            made.append(node.text)
        else:
            made += _images(node, recipe, failed)
    return made


def _images(picture: Picture, recipe: SampleRecipe, failed: Counter[str]) -> list[list[Pixels] | bytes]:
    """A picture's images; none where it failed and is skipped."""
    assert picture.data is not None
    if recipe.pixels is None:
        return [bytes(picture.data)]  # a view of the mapped file cannot leave a worker process
    try:
        return [recipe.pixels.apply(picture.data)]
    except OSError as error:
        if recipe.on_failure == "raise":
            raise OSError(f"the picture {picture.path} of the corpus cannot be decoded: {error}") from error
        if recipe.on_failure == "skip_document":
            raise _SpoiledError from error
        if recipe.on_failure == "skip_image":
            failed["image"] += 1
            return []
        failed["placeholder"] += 1
        return [placeholder(picture, recipe.pixels)]


def placeholder(picture: Picture, pixels: Policy) -> list[Pixels]:
    """Grey images, as many as the picture would have become."""
    width, height = picture.info.get("width"), picture.info.get("height")
    known = isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0
    number = pixels.images(int(str(width)), int(str(height))) if known else 1
    return [np.full((pixels.side, pixels.side, 3), 128, np.uint8) for _ in range(number)]


def _pairs(nodes: Sequence[Node]) -> Iterator[tuple[Picture, str]]:
    """Pictures with the words that go with them."""
    before = ""
    for node in nodes:
        if isinstance(node, Text):
            before = node.text
            continue
        for words in (node.info.get("caption"), node.info.get("alt"), before):
            if isinstance(words, str) and words.strip():
                yield node, words.strip()
                break
