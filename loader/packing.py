"""Packs: sequences of several documents under a budget of tokens and one of images.

The packs of a window are a function of the window's documents, the tokenizer and the recipe. Ranks, workers and where
a run was resumed change nothing; a resumed stream packs one window again and passes over what was used of it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from plait.loader.decode import Pixels, Policy, Resize, Tiles
from plait.loader.order import Order
from plait.loader.progress import Position
from plait.loader.samples import SampleRecipe, WindowReader, held_back, kept_nodes, placeholder
from plait.loader.sequence import IGNORE, Atom, Ids, ImageTokens, Part, SequenceRecipe, Tokenize, atoms, parts
from plait.schemas.errors import ConfigError


@dataclass(frozen=True)
class PackRecipe:
    """How sequences are packed.

    Attributes:
        tokenize: text to ids.
        tokenizer: its name and version: states of another tokenizer are refused by it.
        sequence: how a document becomes a sequence.
        max_tokens: of a pack.
        max_images: of a pack (tiles count one each); None: as many as fit.
        together: False: a pack holds one document.
        long: what becomes of a document that is longer than a pack.
        without_image: whether documents and parts without an image are kept.
    """

    tokenize: Tokenize
    tokenizer: str
    sequence: SequenceRecipe
    max_tokens: int = 2048
    max_images: int | None = None
    together: bool = True
    long: Literal["split", "truncate", "skip"] = "split"
    without_image: bool = True

    @property
    def identity(self) -> str:
        """Hash of all that packs depend on, the tokenizer by its name."""
        parts_ = (self.tokenizer, self.sequence, self.max_tokens, self.max_images, self.together, self.long)
        return hashlib.sha256(repr((*parts_, self.without_image)).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Pack:
    """One sequence of one or more documents.

    Attributes:
        tokens: ids, n.
        labels: n; what the loss counts at this place, -100 where nothing; shift by one as your model does.
        position_ids: n; begin at 0 with every document.
        cu_seqlens: documents + 1; where they begin and end, as FlashAttention's varlen functions take it.
        image_positions: images; place of each image's first placeholder.
        images: pixels, in the order of their tokens.
        contrastive: images; whether text of its own document stands before the image (LCL's loss wants it).
        doc_ids: of the documents.
        positions: where the pack stands: for `Progress.used`.
        failed: what failed in it: "placeholder", "document" -> how often.
    """

    tokens: Ids
    labels: Ids
    position_ids: Ids
    cu_seqlens: npt.NDArray[np.int32]
    image_positions: Ids
    images: list[Pixels]
    contrastive: npt.NDArray[np.bool_]
    doc_ids: tuple[bytes, ...]
    positions: tuple[Position, ...]
    failed: Mapping[str, int] = field(default_factory=dict)

    def block_mask(self) -> npt.NDArray[np.bool_]:
        """Whether the token of a row may attend to that of a column (n x n): causal, within its document."""
        document = self._document()
        places = np.arange(len(self.tokens))
        mask: npt.NDArray[np.bool_] = (document[:, None] == document[None, :]) & (places[:, None] >= places[None, :])
        return mask

    def last_image(self) -> Ids:
        """Number of the image before each token in its document (a placeholder: its own), -1 where there is none (n).

        What Flamingo's cross-attention looks at.
        """
        marks = np.full(len(self.tokens), -1, np.int64)
        marks[self.image_positions] = np.arange(len(self.image_positions))
        latest = np.maximum.accumulate(marks)
        starts = self.cu_seqlens[:-1][self._document()]
        inside = latest >= 0
        inside[inside] = self.image_positions[latest[inside]] >= starts[inside]
        return np.where(inside, latest, -1)

    def _document(self) -> Ids:
        return np.searchsorted(self.cu_seqlens, np.arange(len(self.tokens)), side="right") - 1


def packs(
    order: Order, samples: SampleRecipe, recipe: PackRecipe, windows: Iterator[tuple[int, int]]
) -> Iterator[Pack]:
    """Packs of windows, in order; pictures are decoded when their pack's turn comes.

    A picture that cannot be decoded is grey in a pack, whose tokens are laid out by then; with
    ``on_failure="skip_document"`` the loss also leaves its document out.

    Args:
        order: which documents a window has.
        samples: which pictures are used and how they are sized; its view must be "natural" or "clip".
        recipe: how they are packed.
        windows: with the packs of each to pass over.

    Raises:
        ConfigError: the view is another, or pictures are not decoded.
    """
    if samples.view not in ("natural", "clip") or samples.pixels is None:
        raise ConfigError("packs are made of natural samples, or in CLIP's order, with decoded pictures")
    carried: list[Position] = []
    lost: Counter[str] = Counter()

    def with_rest(pack: Pack) -> Pack:
        counts = Counter(pack.failed) + lost
        return replace(pack, positions=(*pack.positions, *carried), failed=dict(counts))

    made = _packs(WindowReader(order, samples), samples, samples.pixels, recipe, windows, carried, lost)
    return held_back(made, with_rest)


def _packs(
    reader: WindowReader,
    samples: SampleRecipe,
    pixels: Policy,
    recipe: PackRecipe,
    windows: Iterator[tuple[int, int]],
    carried: list[Position],
    lost: Counter[str],
) -> Iterator[Pack]:
    """Packs; ``carried`` and ``lost`` hold what belongs to the next."""
    for window, start in windows:
        cut: list[Part] = []
        for placed in reader.documents(window):
            if placed.document is None:
                lost["shard"] += 1
                continue
            nodes = kept_nodes(placed.document.nodes, samples)
            made = atoms(placed.document.doc_id, nodes, recipe.sequence, recipe.tokenize, pixels)
            cut += parts(
                placed.number,
                placed.document.doc_id,
                made,
                max_tokens=recipe.max_tokens,
                max_images=recipe.max_images,
                long=recipe.long,
                without_image=recipe.without_image,
            )
        bins = fitted(cut, recipe)
        if not bins:
            carried.append(Position(window, 1, True))
        for number, group in enumerate(bins[start:], start):
            carried.append(Position(window, number + 1, number + 1 == len(bins)))
            pack = _pack(group, samples, pixels, tuple(carried), lost)
            carried.clear()
            lost.clear()
            yield pack


def fitted(cut: Sequence[Part], recipe: PackRecipe) -> list[list[Part]]:
    """Parts in packs: each into the fullest pack that still holds it, else into a new one; packs in order of opening.

    Cost: parts times open packs; packs that are full, or nearly (1/64 of the tokens), are closed.
    """
    bins: list[list[Part]] = []
    open_bins: list[tuple[int, int, int]] = []  # (tokens left, images left, bin)
    for part in cut:
        images = part.images if recipe.max_images is not None else 0
        best = -1
        for place, (tokens_left, images_left, _) in enumerate(open_bins):
            fits = recipe.together and tokens_left >= part.tokens and images_left >= images
            if fits and (best < 0 or tokens_left < open_bins[best][0]):
                best = place
        if best < 0:
            bins.append([])
            best = len(open_bins)
            open_bins.append((recipe.max_tokens, recipe.max_images or 0, len(bins) - 1))
        tokens_left, images_left, number = open_bins[best]
        bins[number].append(part)
        left = (tokens_left - part.tokens, images_left - images, number)
        if left[0] <= recipe.max_tokens // 64 or not recipe.together:
            del open_bins[best]
        else:
            open_bins[best] = left
    return bins


def _pack(
    group: Sequence[Part], samples: SampleRecipe, pixels: Policy, positions: tuple[Position, ...], lost: Counter[str]
) -> Pack:
    ids, labels, places, contrastive = [], [], [], []
    images: list[Pixels] = []
    failed: Counter[str] = Counter(lost)
    ends = [0]
    for part in group:
        at, words, spoiled = ends[-1], False, False
        mine = []
        for atom in part.atoms:
            ids.append(atom.ids)
            mine.append(atom.labels)
            if atom.picture is not None:
                drawn, broken = _drawn(atom, samples, pixels)
                images += drawn
                failed["placeholder"] += broken
                each = (len(atom.ids) - atom.first) // atom.images
                places += [at + atom.first + number * each for number in range(atom.images)]
                contrastive += [words] * atom.images
                spoiled = spoiled or (bool(broken) and samples.on_failure == "skip_document")
            words = words or atom.picture is None
            at += len(atom.ids)
        if spoiled:
            failed["document"] += 1
            mine = [np.full_like(piece, IGNORE) for piece in mine]
        labels += mine
        ends.append(at)
    lengths = np.diff(ends)
    return Pack(
        tokens=np.concatenate(ids),
        labels=np.concatenate(labels),
        position_ids=np.concatenate([np.arange(length) for length in lengths]),
        cu_seqlens=np.array(ends, np.int32),
        image_positions=np.array(places, np.int64),
        images=images,
        contrastive=np.array(contrastive, bool),
        doc_ids=tuple(part.doc_id for part in group),
        positions=positions,
        failed={reason: number for reason, number in failed.items() if number},
    )


def _drawn(atom: Atom, samples: SampleRecipe, pixels: Policy) -> tuple[list[Pixels], int]:
    """A picture's images, and 1 if they are grey because it cannot be decoded."""
    assert atom.picture is not None
    assert atom.picture.data is not None
    try:
        drawn = pixels.apply(atom.picture.data)
    except OSError as error:
        if samples.on_failure == "raise":
            raise OSError(f"the picture {atom.picture.path} of the corpus cannot be decoded: {error}") from error
        return (placeholder(atom.picture, pixels) * atom.images)[: atom.images], 1
    if (
        len(drawn) != atom.images
    ):  # its header and the corpus' record of it disagree: the tokens are laid out by the record
        return (placeholder(atom.picture, pixels) * atom.images)[: atom.images], 1
    return drawn, 0


def lcl(tokenize: Tokenize, tokenizer: str, image: ImageTokens, *, eos: int) -> tuple[SampleRecipe, PackRecipe]:
    """Latent compression learning (arXiv 2406.07543; released MMC4 settings).

    224 px, at most 6 images a document, each right before or after its text at p = 0.5, 2,048 tokens, one document a
    sequence, cut back to its last whole picture; the loss counts text and start-of-image tokens.
    """
    sequence = SequenceRecipe(image, eos=eos, separator=" ", placement="around", learn_start=True)
    pack = PackRecipe(
        tokenize, tokenizer, sequence, max_tokens=2048, together=False, long="truncate", without_image=False
    )
    return SampleRecipe(pixels=Resize(224, "crop"), max_images=6), pack


def flamingo(
    tokenize: Tokenize, tokenizer: str, *, image: int, chunk_end: int, eos: int
) -> tuple[SampleRecipe, PackRecipe]:
    """OpenFlamingo's and OmniCorpus' Flamingo settings for interleaved data: 256 tokens, 6 images, 224 px.

    One ``<image>`` token a picture, ``<|endofchunk|>`` before the next and at the end, loss from the first picture on;
    `Pack.last_image` is what cross-attention looks at. Images come in the order of their tokens.
    """
    sequence = SequenceRecipe(
        ImageTokens(image), eos=eos, separator=" ", chunk_end=chunk_end, learn_from_first_image=True
    )
    pack = PackRecipe(
        tokenize,
        tokenizer,
        sequence,
        max_tokens=256,
        max_images=6,
        together=False,
        long="truncate",
        without_image=False,
    )
    return SampleRecipe(pixels=Resize(224, "crop"), max_images=6), pack


def internvl(
    tokenize: Tokenize, tokenizer: str, image: ImageTokens, *, bos: int | None, eos: int, max_tokens: int = 8192
) -> tuple[SampleRecipe, PackRecipe]:
    """InternVL's packed training: natural order, 448 px tiles (1 to 12 and a thumbnail), documents together.

    8,192 tokens or more and at most 48 images a pack; long documents are split, never inside a picture, and parts
    without one are left out; documents do not see each other (`Pack.cu_seqlens`).
    """
    sequence = SequenceRecipe(image, bos=bos, eos=eos)
    pack = PackRecipe(
        tokenize, tokenizer, sequence, max_tokens=max_tokens, max_images=48, long="split", without_image=False
    )
    return SampleRecipe(pixels=Tiles(448)), pack
