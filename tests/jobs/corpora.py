"""Small builds that several tests share."""

from __future__ import annotations

import json
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


SITE_NOTE = "Letters to the editor of the harbour gazette are welcome and are answered in the order of their arrival."
QUESTION = " ".join(f"item{number}" for number in range(20))  # no page says this by chance


def write_repeats(folder: Path) -> tuple[Path, Path]:
    """An archive in which everything is repeated that a recipe can ask to be rare, and a recipe that asks for it all.

    Of its 14 pages on two hosts, page 2 has the pictures of page 3, page 4 contains evaluation text, page 13 nearly the
    text of page 11; all but the last page of each host share a note, and every page says one paragraph twice, the
    second time with one word changed.
    """
    archive = WarcBuilder(info=True)
    for number in range(14):
        host, shown = f"site{number % 2}.test", 3 if number == 2 else number
        seed = 1100 if number == 13 else number * 100
        first = prose(seed)
        again = first.replace("The", "Thy", 1)
        parts = [f"<p>{first}</p>", f"<img src='http://cdn.test/{shown}.jpg' alt='Picture'>", f"<p>{again}</p>"]
        if number < 12:
            parts.append(f"<p>{SITE_NOTE}</p>")
        if number == 4:
            parts.append(f"<p>They asked {QUESTION}, and nobody knew.</p>")
        parts += [f"<img src='http://cdn.test/more-{shown}.jpg'>", f"<p>{prose(seed + 1)}</p>"]
        page = html(f"<article><h1>Story {number}</h1>{''.join(parts)}</article>", title=f"Story {number}")
        archive.response(f"http://{host}/story/{number}", page, date=f"2024-05-{number + 1:02d}T12:00:00Z")
        for seed, name in ((number, f"{number}.jpg"), (100 + number, f"more-{number}.jpg")):
            archive.response(f"http://cdn.test/{name}", picture(320, 240, seed), "image/jpeg")
    questions, recipe = folder / "questions.jsonl", folder / "repeats.toml"
    questions.write_text(json.dumps({"question": f"Who said {QUESTION}?", "answer": "C"}) + "\n")
    recipe.write_text(
        'name = "repeats"\ndescription = "Everything that may repeat."\nextends = "annotate"\n\n'
        "[dedup]\nparagraphs = 3\nimage_sets = true\nnode_similarity = 0.95\n\n"
        "[dedup.minhash]\nngram = 5\nbands = 16\nrows = 6\nthreshold = 0.68\n\n"
        '[resources]\nevaluation_text = ["questions.jsonl"]\n'
    )
    return archive.save(folder / "repeats.warc.gz"), recipe
