"""Pictures drawn with the sentences that are true of them: shapes, colours, counts, places, and words of seven scripts.

A scene is a few numbers, so a picture and its sentences can be made again at any size. Scenes that `held_out` names are
never trained on: tests draw their corpora from those alone.
"""

from __future__ import annotations

import hashlib
import io
import math
import random
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

COLOURS = {
    "red": (214, 32, 38), "orange": (245, 130, 32), "yellow": (250, 218, 40), "green": (38, 150, 62),
    "blue": (30, 80, 200), "purple": (128, 44, 160), "pink": (250, 150, 190), "brown": (116, 70, 34),
    "white": (252, 252, 252), "black": (14, 14, 14), "grey": (132, 132, 132), "turquoise": (60, 205, 200),
}  # fmt: skip
SHAPES = ("circle", "square", "triangle", "star", "ring", "cross", "diamond", "arrow", "crescent", "hexagon")
COUNTS = ("one", "two", "three", "four")
PLACES = ("left", "right", "top", "bottom", "centre")
WORDS = {
    "Latin": ("HOUSE", "river", "Bread", "winter"), "Greek": ("ΣΠΙΤΙ", "νερό", "Άρτος", "ήλιος"),
    "Cyrillic": ("ДОМ", "река", "Хлеб", "зима"), "Arabic": ("بيت", "نهر", "خبز", "شتاء"),
    "Hebrew": ("בית", "נהר", "לחם", "חורף"), "Georgian": ("სახლი", "წყალი", "პური", "მზე"),
    "Armenian": ("ՏՈՒՆ", "գետ", "Հաց", "ձմեռ"),
}  # fmt: skip
SCRIPTS = tuple(WORDS)


@dataclass(frozen=True)
class Scene:
    """What a picture shows.

    Attributes:
        kind: "shapes", "word" (a word of ``what``'s script) or "logo" (a round badge with two letters).
        what: a shape, or a script.
        colour: of the shapes or the letters.
        ground: colour behind.
        count: of the shapes, 1 to 4.
        place: where they stand, one of `PLACES`.
        seed: of what no sentence says: sizes, angles, which word.
    """

    kind: str
    what: str
    colour: str
    ground: str
    count: int
    place: str
    seed: int


def scene(rng: random.Random) -> Scene:
    """A scene: eight of ten of shapes."""
    kind = rng.choices(("shapes", "word", "logo"), (8, 1.4, 0.6))[0]
    colour, ground = rng.sample(list(COLOURS), 2)
    what = rng.choice(SHAPES if kind == "shapes" else SCRIPTS if kind == "word" else ("Latin",))
    count = rng.randint(1, 4) if kind == "shapes" else 1
    return Scene(kind, what, colour, ground, count, rng.choice(PLACES), rng.getrandbits(30))


def held_out(one: Scene) -> bool:
    """Whether a scene is kept for tests: a fifth of the combinations of what sentences say."""
    said = replace(one, place="", seed=0)
    return hashlib.sha256(repr(said).encode()).digest()[0] < 51


def sentence(one: Scene, rng: random.Random) -> tuple[str, Scene]:
    """A sentence that is true of a scene, and the scene with what it leaves unsaid emptied."""
    place, ground = rng.random() < 0.5, rng.random() < 0.6
    if one.kind == "shapes":
        noun = one.what + ("es" if one.what == "cross" else "s" if one.count > 1 else "")
        if one.what == "cross" and one.count == 1:
            noun = "cross"
        thing = f"{COUNTS[one.count - 1] if one.count > 1 else 'one'} {one.colour} {noun}"
    elif one.kind == "word":
        thing = f"a word in {one.what} letters written in {one.colour}"
    else:
        thing = f"a round {one.colour} logo with two letters"
    at = {"centre": "in the centre", "top": "at the top", "bottom": "at the bottom"}.get(
        one.place, f"on the {one.place}"
    )
    thing += f" {at}" if place else ""
    thing += f" on a {one.ground} background" if ground else ""
    form = rng.choice(("{}.", "A picture of {}.", "Here we see {}.", "This drawing shows {}.", "The picture has {}."))
    text = form.format(thing)
    said = replace(one, place=one.place if place else "", ground=one.ground if ground else "", seed=0)
    return text[0].upper() + text[1:], said


def true_of(said: Scene, one: Scene) -> bool:
    """Whether what a sentence says holds of a scene."""
    return (
        (said.kind, said.what, said.colour, said.count) == (one.kind, one.what, one.colour, one.count)
        and said.place in ("", one.place)
        and said.ground in ("", one.ground)
    )


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont:
    import matplotlib

    fonts = Path(matplotlib.get_data_path()) / "fonts/ttf"
    return ImageFont.truetype(str(fonts / "DejaVuSans-Bold.ttf"), size)


def _corners(shape: str, x: float, y: float, r: float, turn: float) -> list[tuple[float, float]]:
    if shape == "star":
        radii = [r if k % 2 == 0 else r * 0.42 for k in range(10)]
    elif shape == "cross":
        arm = 0.32 * r
        raw = [(-arm, -r), (arm, -r), (arm, -arm), (r, -arm), (r, arm), (arm, arm), (arm, r), (-arm, r), (-arm, arm),
               (-r, arm), (-r, -arm), (-arm, -arm)]  # fmt: skip
        return [(x + a, y + b) for a, b in raw]
    elif shape == "arrow":
        raw = [(-r, -0.28 * r), (0.1 * r, -0.28 * r), (0.1 * r, -0.75 * r), (r, 0), (0.1 * r, 0.75 * r),
               (0.1 * r, 0.28 * r), (-r, 0.28 * r)]  # fmt: skip
        return [(x + a, y + b) for a, b in raw]
    elif shape == "diamond":
        return [(x, y - r), (x + 0.62 * r, y), (x, y + r), (x - 0.62 * r, y)]
    else:
        radii = [r] * {"triangle": 3, "hexagon": 6}[shape]
    step = 2 * math.pi / len(radii)
    return [(x + q * math.sin(k * step + turn), y - q * math.cos(k * step + turn)) for k, q in enumerate(radii)]


def _shape(pen: ImageDraw.ImageDraw, shape: str, x: float, y: float, r: float, colour: tuple[int, int, int],
           ground: tuple[int, int, int], turn: float) -> None:  # fmt: skip
    box = (x - r, y - r, x + r, y + r)
    if shape == "circle":
        pen.ellipse(box, colour)
    elif shape == "ring":
        pen.ellipse(box, colour)
        pen.ellipse((x - 0.58 * r, y - 0.58 * r, x + 0.58 * r, y + 0.58 * r), ground)
    elif shape == "crescent":
        pen.ellipse(box, colour)
        pen.ellipse((x - 0.35 * r, y - r, x + 1.65 * r, y + r), ground)
    elif shape == "square":
        pen.rectangle((x - 0.85 * r, y - 0.85 * r, x + 0.85 * r, y + 0.85 * r), colour)
    else:
        pen.polygon(_corners(shape, x, y, r, turn), colour)


def draw(one: Scene, side: int = 128) -> Image.Image:
    """The picture, ``side`` pixels square, RGB."""
    rng = random.Random(one.seed)
    big = side * 2
    colour, ground = COLOURS[one.colour], COLOURS[one.ground]
    image = Image.new("RGB", (big, big), ground)
    pen = ImageDraw.Draw(image)
    cx = {"left": 0.27, "right": 0.73}.get(one.place, 0.5) + rng.uniform(-0.03, 0.03)
    cy = {"top": 0.27, "bottom": 0.73}.get(one.place, 0.5) + rng.uniform(-0.03, 0.03)
    if one.kind == "shapes":
        room = 0.23
        r = room * {1: rng.uniform(0.75, 1), 2: 0.5, 3: 0.46, 4: 0.46}[one.count] * rng.uniform(0.92, 1.04)
        far = room * 0.55
        spots = {
            1: [(0, 0)], 2: [(-far, 0), (far, 0)], 3: [(-far, far), (far, far), (0, -far)],
            4: [(-far, -far), (far, -far), (-far, far), (far, far)],
        }[one.count]  # fmt: skip
        for dx, dy in spots:
            turn = rng.uniform(-0.12, 0.12)
            _shape(pen, one.what, (cx + dx) * big, (cy + dy) * big, r * big, colour, ground, turn)
    else:
        text = rng.choice(WORDS[one.what]) if one.kind == "word" else "".join(rng.choices("ABEGHKMNRSTXZ", k=2))
        font = _font(int(big * (0.13 if one.kind == "word" else 0.17)))
        ink = colour
        if one.kind == "logo":
            r = 0.24 * big
            pen.ellipse((cx * big - r, cy * big - r, cx * big + r, cy * big + r), colour)
            pen.ellipse((cx * big - r * 0.86, cy * big - r * 0.86, cx * big + r * 0.86, cy * big + r * 0.86),
                        outline=ground, width=max(1, big // 50))  # fmt: skip
            ink = ground
        pen.text((cx * big, cy * big), text, ink, font=font, anchor="mm")
    return image.resize((side, side), Image.Resampling.LANCZOS)


def encoded(one: Scene, side: int = 256, form: str = "JPEG") -> bytes:
    """The picture's file."""
    out = io.BytesIO()
    draw(one, side).save(out, form, quality=90)
    return out.getvalue()
