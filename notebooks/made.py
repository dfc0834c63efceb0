"""The corpus that the notebooks look at: sixty pages and their pictures, all made here.

Sentences are drawn from word lists, pictures are drawn shapes. Some pages are short, some repeat themselves, some are
copies with a changed word, and one picture stands on every third page.
"""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image, ImageDraw

from plait.jobs import build
from plait.jobs.flow import Options
from plait.jobs.pack import pack
from plait.loader import Corpus

NOUNS = [
    "harbour",
    "lantern",
    "orchard",
    "bridge",
    "violin",
    "market",
    "glacier",
    "kettle",
    "meadow",
    "engine",
    "island",
]
VERBS = ["carries", "follows", "remembers", "mends", "paints", "crosses", "measures", "gathers", "answers", "shelters"]
ADJECTIVES = ["quiet", "copper", "distant", "early", "crooked", "bright", "heavy", "patient", "hollow", "northern"]
PLACES = ["under the hill", "beside the canal", "after the rain", "in the long winter", "along the coast"]


def sentence(pick: random.Random) -> str:
    """A sentence that says nothing in particular."""
    first, second = pick.choice(NOUNS), pick.choice(NOUNS)
    one, other = pick.choice(ADJECTIVES), pick.choice(ADJECTIVES)
    return f"The {one} {first} {pick.choice(VERBS)} the {other} {second} {pick.choice(PLACES)}."


def paragraph(pick: random.Random, sentences: int) -> str:
    """Sentences in a row."""
    return " ".join(sentence(pick) for _ in range(sentences))


def picture(seed: int, width: int, height: int) -> Image.Image:
    """Hills under a sun; another seed gives other ones."""
    pick = random.Random(seed)
    image = Image.new("RGB", (width, height), tuple(pick.randrange(120, 240) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    x, radius = pick.randrange(width), pick.randrange(height // 8, height // 4)
    draw.ellipse((x - radius, 10, x + radius, 10 + 2 * radius), fill=tuple(pick.randrange(180, 256) for _ in range(3)))
    for layer in range(4):
        top = height * (3 + layer) // 8
        points = (
            [(0, height)]
            + [(x, top + pick.randrange(height // 5)) for x in range(0, width + 40, 40)]
            + [(width, height)]
        )
        draw.polygon(points, fill=tuple(pick.randrange(20, 160) for _ in range(3)))
    return image


def write_site(folder: Path, pages: int = 60) -> None:
    """The pages and pictures, as files."""
    folder.mkdir(parents=True, exist_ok=True)
    picture(10_000, 480, 320).save(folder / "shared.jpg", quality=85)
    for number in range(pages):
        pick = random.Random(number - 1 if number % 10 == 9 else number)  # every tenth page is nearly its neighbour
        size = (640, 420) if number % 5 else (120, 90)
        if number % 10 != 9:
            picture(number, *size).save(folder / f"{number}.jpg", quality=85)
        image = f"{number - 1 if number % 10 == 9 else number}.jpg"
        length = 1 if number % 7 == 0 else 4
        parts = [f"<p>{paragraph(pick, length)}</p>" for _ in range(4)]
        if number % 11 == 0:
            parts += parts[:1] * 6
        parts.insert(1, f'<img src="{image}" alt="Hills, number {number}">')
        if number % 3 == 0:
            parts.insert(3, '<img src="shared.jpg" alt="The same hills on many pages">')
        if number % 10 == 9:
            parts.append("<p>One more sentence stands only here.</p>")
        title = f"Page {number}"
        head = f"<html lang=en><head><title>{title}</title></head>"
        body = f"{head}<body><article><h1>{title}</h1>{''.join(parts)}</article></body></html>"
        (folder / f"{number}.html").write_text(body, "utf-8")


def made_corpus(folder: Path, recipe: str, name: str = "corpus") -> Corpus:
    """A corpus of the made pages, everything dropped retained; built where it is not there."""
    site, archive = folder / "site", folder / "made.warc.gz"
    if not archive.exists():
        write_site(site)
        pack(site, "https://made.example/", archive)
    build([str(archive)], str(folder / name), recipe=recipe, workers=1, options=Options(retain="all"))
    return Corpus(folder / name)
