"""Archives for `make soak`: as large as wanted, the same for the same arguments, written record by record.

    python benchmarks/soak_archives.py FOLDER [--megabytes 1024] [--records 30000] [--copies 100000] [--files 16]

What is hard about real crawls is in them on purpose: one host owns a fifth of all pictures, one page is there 100,000
times under different URLs, one page in twenty is the copy or near-copy of another, and pages and their pictures lie in
different files. Text is pseudo-English (real function words, invented content words by Zipf's law) that language
identification takes for English; pictures are drawn so that no two have similar perceptual hashes.
"""

from __future__ import annotations

import argparse
import io
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

_START = datetime(2024, 1, 1, tzinfo=UTC)
_PAGES_OF_RECORDS = 0.4  # the rest are pictures
_BIG_HOST, _BIG_SHARE = "pictures.big.test", 5  # every fifth picture
_HOSTS = 200
_COPY_BYTES, _PAGE_BYTES = 1000, 1700  # of such a record in the archive, measured
_QUALITY = 85
_FUNCTION_WORDS = (
    "the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which "
    "one you were all her she there would their we him been has when who will no more if out so said what up its "
    "about into than them can only other new some could time these two may then do first any my now such like our over "
    "man me even most made after also did many before must through back years where much your way well down should"
)
_SYLLABLES = (
    "ba ber car con del den dis est fer gra ing ist lan lor man mer min nal nor ous pal per pre qui ran rel res sal "
    "sta sur tan ter tion tor tra ure val ven ver vis wal wen ser"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of what: counts of records, and the size of a picture in pixels."""

    seed: int
    files: int
    pages: int
    pictures: int
    copies: int
    side: int


class Words:
    """Text from an invented vocabulary."""

    def __init__(self, seed: int, size: int = 20_000):
        rng = np.random.default_rng([seed, 0])
        parts = _SYLLABLES.split()
        syllables = rng.integers(0, len(parts), (size, 4))
        lengths = rng.integers(1, 4, size)
        self._words = ["".join(parts[s] for s in row[:n]) for row, n in zip(syllables, lengths, strict=True)]
        self._function = _FUNCTION_WORDS.split()
        weights = 1 / np.arange(2, size + 2)
        self._cumulated = np.cumsum(weights / weights.sum())

    def sentence(self, rng: np.random.Generator) -> str:
        """Eight to twenty words, a function word before most content words."""
        count = int(rng.integers(8, 21))
        content = np.searchsorted(self._cumulated, rng.random(count))
        function = rng.integers(0, len(self._function), count)
        which = rng.random(count) < 0.45
        words = [
            self._function[f] if small else self._words[min(c, len(self._words) - 1)]
            for c, f, small in zip(content, function, which, strict=True)
        ]
        return " ".join(words).capitalize() + "."

    def paragraph(self, rng: np.random.Generator) -> str:
        """Three to six sentences."""
        return " ".join(self.sentence(rng) for _ in range(int(rng.integers(3, 7))))


def picture(rng: np.random.Generator, side: int) -> bytes:
    """A JPEG of `side` by three quarters of it: a random coarse grid of colours, smoothed, under noise."""
    size = (side, side * 3 // 4)
    grid = np.frombuffer(rng.bytes(6 * 8 * 3), np.uint8).reshape(6, 8, 3)
    # Colours keep away from black and white, so that the noise needs no clipping.
    smooth = Image.fromarray(grid // 2 + 64).resize(size, Image.Resampling.BILINEAR)
    noise = np.frombuffer(rng.bytes(size[0] * size[1]), np.uint8).reshape(size[1], size[0], 1) & 31
    out = io.BytesIO()
    Image.fromarray(np.asarray(smooth) + noise).save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()


def _side_for(picture_bytes: int, seed: int) -> int:
    """Side of a picture that has about so many bytes; a JPEG's size goes with its area."""
    sample = 320
    measured = len(picture(np.random.default_rng([seed, 1]), sample))
    return max(160, round(sample * (picture_bytes / measured) ** 0.5))


def plan(total_bytes: int, records: int, copies: int, seed: int, files: int) -> Plan:
    """Sizes so that the archives together have about `total_bytes`."""
    pages = max(round(records * _PAGES_OF_RECORDS), 1)
    pictures = max(records - pages, 1)
    left = total_bytes - copies * _COPY_BYTES - pages * _PAGE_BYTES
    return Plan(seed, files, pages, pictures, copies, _side_for(max(left // pictures, 4000), seed))


def picture_url(number: int) -> str:
    """URL of a picture; every fifth is on the big host."""
    host = _BIG_HOST if number % _BIG_SHARE == 0 else f"host{number % _HOSTS}.test"
    return f"http://{host}/pictures/{number}.jpg"


def page(made: Plan, words: Words, number: int) -> bytes:
    """HTML of a page: three to eight paragraphs with its own pictures between them, and one of another page."""
    source = number
    if number % 50 == 49:
        source = number - 11  # the same text again
    elif number % 33 == 32:
        source = number - 7  # nearly the same text
    rng = np.random.default_rng([made.seed, 2, source])
    paragraphs = [words.paragraph(rng) for _ in range(int(rng.integers(3, 9)))]
    title = words.sentence(rng)
    if number % 50 != 49 and source != number:
        paragraphs[-1] += " " + words.sentence(np.random.default_rng([made.seed, 3, number]))
    own = range(number * made.pictures // made.pages, (number + 1) * made.pictures // made.pages)
    shown = [*own, int(np.random.default_rng([made.seed, 4, number]).integers(0, made.pictures))]
    parts = [f"<h1>{title}</h1>"]
    for place, text in enumerate(paragraphs):
        parts.append(f"<p>{text}</p>")
        if place < len(shown):
            image = shown[place]
            parts.append(f'<img src="{picture_url(image)}" alt="Picture {image}" width="{made.side}">')
    body = "\n".join(parts)
    return f'<!DOCTYPE html><html lang="en"><head><title>{title}</title></head><body>{body}</body></html>'.encode()


def copied_page(made: Plan, words: Words) -> bytes:
    """HTML of the page that is there many times: two paragraphs and the first picture."""
    rng = np.random.default_rng([made.seed, 6])
    one, two = words.paragraph(rng), words.paragraph(rng)
    image = f'<img src="{picture_url(0)}" alt="Picture 0" width="{made.side}">'
    return f'<!DOCTYPE html><html lang="en"><title>Copied</title><p>{one}</p>{image}<p>{two}</p></html>'.encode()


def records_of(made: Plan, file: int) -> Iterator[tuple[str, bytes, str]]:
    """URL, payload and type of every record of one file; numbers go round the files."""
    words = Words(made.seed)
    copied = copied_page(made, words)
    counts = (made.pages, made.pictures, made.copies)
    rounds = -(-max(counts) // made.files)
    for turn in range(rounds):
        # All kinds are spread evenly over a file, as in a crawl.
        for kind, count in enumerate(counts):
            first, last = (
                count * t // (rounds * made.files) for t in (turn * made.files + file, turn * made.files + file + 1)
            )
            for number in range(first, last):
                if kind == 0:
                    url = f"http://host{number % _HOSTS}.test/pages/{number}.html"
                    yield url, page(made, words, number), "text/html; charset=utf-8"
                elif kind == 1:
                    rng = np.random.default_rng([made.seed, 5, number])
                    yield picture_url(number), picture(rng, made.side), "image/jpeg"
                else:
                    yield f"http://copies.test/{number}.html", copied, "text/html; charset=utf-8"


def make_archives(
    folder: Path,
    *,
    total_bytes: int = 1 << 30,
    records: int = 30_000,
    copies: int = 100_000,
    seed: int = 0,
    files: int = 16,
) -> list[Path]:
    """Write the archives: about 5 ms of CPU a picture. A slice for CI: 20 MB, 600 records, 2,000 copies, 4 files.

    Args:
        folder: where ``soak-00.warc.gz`` and so on go.
        total_bytes: of all archives together, to within a tenth.
        records: distinct pages and pictures.
        copies: records of one page under different URLs, beside `records`.
        seed: other seeds give other text and pictures.
        files: number of archives.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = plan(total_bytes, records, copies, seed, files)
    paths = []
    for file in range(files):
        path = folder / f"soak-{file:02}.warc.gz"
        with path.open("wb") as out, closing(records_of(made, file)) as records_in_turn:
            writer = WARCWriter(out, gzip=True)
            for second, (url, payload, mime) in enumerate(records_in_turn):
                headers = [("Content-Type", mime), ("Content-Length", str(len(payload)))]
                date = _START + timedelta(days=file, seconds=second)
                record = writer.create_warc_record(
                    url,
                    "response",
                    io.BytesIO(payload),
                    len(payload),
                    http_headers=StatusAndHeaders("200 OK", headers, "HTTP/1.1"),
                    warc_headers_dict={
                        "WARC-Date": f"{date:%Y-%m-%dT%H:%M:%SZ}",
                        "WARC-Record-ID": f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{seed} {url}')}>",
                    },
                )
                writer.write_record(record)
        paths.append(path)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--records", type=int, default=30_000)
    parser.add_argument("--copies", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", type=int, default=16)
    given = parser.parse_args()
    paths = make_archives(
        given.folder,
        total_bytes=given.megabytes << 20,
        records=given.records,
        copies=given.copies,
        seed=given.seed,
        files=given.files,
    )
    print(f"{len(paths)} archives, {sum(path.stat().st_size for path in paths) / 1e6:.0f} MB in {given.folder}")


if __name__ == "__main__":
    main()
