"""Archives of drawn pages: each shows some pictures and says what is in them."""

from __future__ import annotations

import random
from pathlib import Path

from tests.archives import WarcBuilder, html
from tests.tiny_clip.drawn import Scene, encoded, held_out, scene, sentence

MODEL = Path(__file__).parent / "model"


def scenes(count: int, seed: int) -> list[Scene]:
    """Scenes that the model has never been trained on."""
    rng = random.Random(seed)
    found: list[Scene] = []
    while len(found) < count:
        one = scene(rng)
        if held_out(one):
            found.append(one)
    return found


def page(number: int, own: list[Scene], shown: list[Scene], names: list[str]) -> bytes:
    """A page of paragraphs about its own scenes, with the pictures that it shows between them."""
    rng = random.Random(number)
    parts = [f"<h1>Story number {number}</h1>"]
    for one, name in zip(own, names, strict=True):
        text = " ".join(sentence(one, rng)[0] for _ in range(2))
        parts.append(f"<p>{text} We drew it on a quiet day and kept it in our book of drawings number {number}.</p>")
        parts.append(f"<img src='{name}' alt='drawing'>")
    parts.append(f"<p>That was the story of the drawings with the number {number}, and this is where it ends.</p>")
    return html(f"<article>{''.join(parts)}</article>", title=f"Story {number}")


def write_drawn(folder: Path, pages: int = 12, pictures: int = 3, *, strangers: bool = False, seed: int = 1) -> Path:
    """An archive; with ``strangers`` every page shows the pictures of the next page instead of its own."""
    every = scenes(pages * pictures, seed)
    own = [every[number * pictures : (number + 1) * pictures] for number in range(pages)]
    archive, host = WarcBuilder(info=True), "strangers" if strangers else "drawn"
    for number in range(pages):
        shown = own[(number + 1) % pages] if strangers else own[number]
        names = [f"/img/{number}-{k}.jpg" for k in range(pictures)]
        archive.response(f"http://{host}.test/story/{number}", page(number, own[number], shown, names))
        for one, name in zip(shown, names, strict=True):
            archive.response(f"http://{host}.test{name}", encoded(one), "image/jpeg")
    return archive.save(folder / f"drawn-{strangers}-{seed}.warc.gz")
