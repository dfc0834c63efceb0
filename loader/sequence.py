"""A document as a sequence: texts as token ids, pictures as placeholders, never cut inside a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from plait.loader.decode import Policy, size
from plait.loader.documents import Node, Picture, Text
from plait.schemas.errors import ConfigError

Ids: TypeAlias = npt.NDArray[np.int64]
Tokenize: TypeAlias = Callable[[str], Sequence[int]]
"""Text to token ids without special tokens: a Hugging Face tokenizer's ``lambda t: tok(t, add_special_tokens=False)
.input_ids``, sentencepiece's ``encode``, or any function that gives the same ids every time."""

IGNORE = -100  # torch's cross entropy leaves these labels out


@dataclass(frozen=True)
class ImageTokens:
    """How an image stands among the tokens.

    Attributes:
        placeholder: id of the token that stands for a part of an image.
        each: placeholders an image (of a tiled picture: a tile).
        start: id before a picture's placeholders, if any.
        end: id after them, if any.
    """

    placeholder: int
    each: int = 1
    start: int | None = None
    end: int | None = None

    def ids(self, images: int) -> Ids:
        """A picture's tokens."""
        inner = [self.placeholder] * (self.each * images)
        return np.array([*_one(self.start), *inner, *_one(self.end)], np.int64)


@dataclass(frozen=True)
class SequenceRecipe:
    """How a document becomes a sequence.

    Attributes:
        image: how images stand among the tokens.
        bos: id that begins a document.
        eos: id that ends it.
        separator: put between two texts that follow each other, and tokenized.
        placement: "natural": pictures stay where they are; "around": each stands right before or after the text it
            goes with (``matched_text_index`` where the corpus has it, else the next text, else the one before), by a
            coin that the document's id, the picture's number and ``seed`` toss (LCL, p = 0.5).
        chunk_end: id put before every picture but the first, and at the end (Flamingo's ``<|endofchunk|>``).
        learn_start: whether the loss counts the start token of a picture (LCL: yes).
        learn_from_first_image: whether the loss leaves out what stands before the first picture (Flamingo: yes).
        seed: of the coins.
    """

    image: ImageTokens
    bos: int | None = None
    eos: int | None = None
    separator: str = "\n"
    placement: Literal["natural", "around"] = "natural"
    chunk_end: int | None = None
    learn_start: bool = False
    learn_from_first_image: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Atom:
    """A stretch of tokens: a text, which may be cut anywhere, or a picture, which may not be cut."""

    ids: Ids
    labels: Ids  # the ids that the loss counts, IGNORE where it does not
    picture: Picture | None = None
    images: int = 0  # images that the picture becomes
    first: int = 0  # place in ids of the picture's first placeholder


@dataclass(frozen=True)
class Part:
    """A document, or a piece of a long one."""

    document: int  # number in its window
    doc_id: bytes
    atoms: tuple[Atom, ...]
    tokens: int = field(default=0)
    images: int = field(default=0)


def atoms(
    doc_id: bytes, nodes: Sequence[Node], recipe: SequenceRecipe, tokenize: Tokenize, pixels: Policy
) -> list[Atom]:
    """A document's tokens, in order; pictures without bytes or without a readable header are left out."""
    placed = _around(doc_id, nodes, recipe.seed) if recipe.placement == "around" else list(nodes)
    made = [_text([recipe.bos])] if recipe.bos is not None else []
    pictures = 0
    previous: Node | None = None
    for node in placed:
        if isinstance(node, Text):
            words = node.text
            if isinstance(previous, Text):
                words = recipe.separator + words
            ids = tokenize(words)
            learn = pictures > 0 or not recipe.learn_from_first_image
            made.append(_text(ids, learn))
        else:
            images = _images(node, pixels)
            if not images:
                continue
            if recipe.chunk_end is not None and pictures:
                made.append(_text([recipe.chunk_end]))
            made.append(_picture(node, images, recipe))
            pictures += 1
        previous = node
    if recipe.chunk_end is not None and pictures:
        made.append(_text([recipe.chunk_end]))
    if recipe.eos is not None:
        made.append(_text([recipe.eos]))
    return [atom for atom in made if len(atom.ids)]


def parts(
    document: int,
    doc_id: bytes,
    made: Sequence[Atom],
    *,
    max_tokens: int,
    max_images: int | None,
    long: Literal["split", "truncate", "skip"],
    without_image: bool,
) -> list[Part]:
    """A document cut to what a pack holds.

    Args:
        document: its number in the window.
        doc_id: its id.
        made: its atoms.
        max_tokens: a part has at most so many.
        max_images: and at most so many images.
        long: a longer document is cut into parts, ends with its first part, or is left out.
        without_image: whether parts without an image are kept.

    Raises:
        ConfigError: one picture alone is more than a pack holds.
    """
    found: list[Part] = []
    held: list[Atom] = []
    tokens = images = 0

    def close() -> None:
        nonlocal held, tokens, images
        if held:
            found.append(Part(document, doc_id, tuple(held), tokens, images))
        held, tokens, images = [], 0, 0

    for atom in made:
        if atom.picture is not None:
            if len(atom.ids) > max_tokens or (max_images is not None and atom.images > max_images):
                raise ConfigError(
                    f"one picture takes {len(atom.ids)} tokens and {atom.images} images, a pack holds {max_tokens} and "
                    f"{max_images}: raise the budgets, or allow fewer tiles"
                )
            if tokens + len(atom.ids) > max_tokens or (max_images is not None and images + atom.images > max_images):
                close()
            held.append(atom)
            tokens, images = tokens + len(atom.ids), images + atom.images
            continue
        start = 0
        while start < len(atom.ids):
            room = max_tokens - tokens
            if not room:
                close()
                continue
            piece = slice(start, start + room)
            held.append(Atom(atom.ids[piece], atom.labels[piece]))
            tokens += len(held[-1].ids)
            start += room
    close()
    if len(found) > 1 and long != "split":
        found = found[:1] if long == "truncate" else []
    return [part for part in found if without_image or part.images]


def _text(ids: Iterable[int], learn: bool = True) -> Atom:
    array = np.asarray(list(ids), np.int64)
    return Atom(array, array if learn else np.full_like(array, IGNORE))


def _picture(picture: Picture, images: int, recipe: SequenceRecipe) -> Atom:
    ids = recipe.image.ids(images)
    labels = np.full_like(ids, IGNORE)
    if recipe.image.start is not None and recipe.learn_start:
        labels[0] = ids[0]
    return Atom(ids, labels, picture, images, int(recipe.image.start is not None))


def _images(picture: Picture, pixels: Policy) -> int:
    """Images that a picture becomes; 0 where its bytes are missing or no picture."""
    if picture.data is None:
        return 0
    width, height = picture.info.get("width"), picture.info.get("height")
    if not isinstance(width, int) or not isinstance(height, int) or width < 1 or height < 1:
        try:
            width, height = size(picture.data)
        except OSError:
            return 0
    return pixels.images(width, height)


def _around(doc_id: bytes, nodes: Sequence[Node], seed: int) -> list[Node]:
    """Nodes with each picture right before or after the text it goes with."""
    texts = [place for place, node in enumerate(nodes) if isinstance(node, Text)]
    if not texts:
        return list(nodes)
    before: dict[int, list[Node]] = {}
    after: dict[int, list[Node]] = {}
    number = 0
    for place, node in enumerate(nodes):
        if not isinstance(node, Picture):
            continue
        matched = node.info.get("matched_text_index")
        if isinstance(matched, int) and 0 <= matched < len(texts):
            text = texts[matched]
        else:
            text = next((at for at in texts if at > place), texts[-1])
        toss = hashlib.blake2b(doc_id + number.to_bytes(4, "little") + seed.to_bytes(8, "little", signed=True)).digest()
        (before if toss[0] & 1 else after).setdefault(text, []).append(node)
        number += 1
    return [node for text in texts for node in (*before.get(text, []), nodes[text], *after.get(text, []))]


def _one(token: int | None) -> list[int]:
    return [] if token is None else [token]
