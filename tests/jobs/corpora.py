"""Small builds that several tests share."""

from __future__ import annotations

from pathlib import Path

from tests.archives import WarcBuilder, html, picture

WORDS = (
    "river", "stone", "lantern", "harbour", "winter", "copper", "field", "letter",
    "garden", "bridge", "market", "window", "thunder", "violin", "orchard", "sailor",
    "meadow", "candle", "mountain", "paper", "silver", "forest", "shadow", "morning",
    "railway", "kitchen", "engine", "summer", "village", "island",
)  # fmt: skip


def prose(seed: int, words: int = 120) -> str:
    """Sentences that read like text and differ by seed."""
    import random

    pick = random.Random(seed)
    sentences = []
    for _ in range(words // 12):
        chosen = [pick.choice(WORDS) for _ in range(10)]
        sentences.append("The " + " ".join(chosen[:5]) + " and the " + " ".join(chosen[5:]) + ".")
    return " ".join(sentences)


def article(seed: int, images: list[str]) -> bytes:
    """A page with paragraphs and the pictures between them."""
    parts = [
        f"<p>{prose(seed * 100 + number)}</p><img src='{url}' alt='Picture {number}'>"
        for number, url in enumerate(images)
    ]
    body = f"<article><h1>Story {seed}</h1>{''.join(parts)}<p>{prose(seed * 100 + 99)}</p></article>"
    return html(body, title=f"Story {seed}")


def write_archives(folder: Path, archives: int = 3, pages: int = 8) -> list[Path]:
    """Archives whose pages share pictures, across archives too, with a duplicate, a revisit and a redirect."""
    paths = []
    for number in range(archives):
        archive = WarcBuilder(info=True)
        for page in range(pages):
            seed = number * pages + page
            own, shared = f"/img/{seed}.jpg", "/img/shared.jpg"
            elsewhere = f"/img/{(seed + pages) % (archives * pages)}.jpg"  # lies in the next archive
            html_page = article(seed, [own, shared, elsewhere, "/img/moved.jpg", "/img/none.jpg"])
            archive.response(f"http://site{number}.test/story/{page}", html_page)
            if number == 0 and page == 0:
                archive.response("http://site1.test/story/copy", html_page)
        for page in range(pages):
            seed = number * pages + page
            for host in range(archives):
                archive.response(f"http://site{host}.test/img/{seed}.jpg", picture(320, 240, seed), "image/jpeg")
            archive.response(f"http://site{number}.test/img/shared.jpg", picture(400, 300, 10_000), "image/jpeg")
        archive.redirect(f"http://site{number}.test/img/moved.jpg", f"http://site{number}.test/img/shared.jpg")
        archive.response("http://site0.test/small", html("<p>" + prose(5) + "</p><img src='/tiny.png'>"))
        archive.response("http://site0.test/tiny.png", picture(20, 20, 1, "PNG"), "image/png")
        paths.append(archive.save(folder / f"part-{number}.warc.gz"))
    return paths
