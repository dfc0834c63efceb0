"""Pictures: speed and equality of hashes, what the fast path changes, clusters at scale, and hostile bytes.

    python benchmarks/images.py hashes|clusters|plans|archives|nsfw [--data FOLDER] [--count N]
    python benchmarks/images.py mutate [--first N] [--count N] [--pieces FILE]

- hashes: images per CPU second from bytes to pHash, to both hashes and to all scores, beside imagehash, exact and with
  the fast path; distance of the fast path's hashes to imagehash's. JPEGs of 800 x 600, quality 85, cut from the
  photographs of images_imagededup and images_pdq.
- clusters: seconds and memory for N synthetic hashes (families within a few bits), candidates per hash, a sample
  checked against brute force.
- plans: the cut of the 64 bits for radii and numbers of hashes, and of a shuffle of 10^10.
- archives: pictures of the archives in warc_images and warc_made: hashes that say nothing, and clusters by radius.
- nsfw: pictures per CPU second through Open-NSFW on one thread, and what decoding takes of it.
- mutate: N pictures with flipped, cut, repeated and overwritten bytes, made from the files of the image folders; each
  must end in scores or a reason. Prints the slowest, and the peak memory of the process. A picture is made from its
  number, so a campaign can be run in pieces: each adds a line to FILE, and the sum of all its lines is printed.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import io
import json
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from plait.dedup.hamming import plan, shuffle_plan
from plait.dedup.images import cluster, degenerate_phash
from plait.dedup.phash import distance, phash
from plait.dedup.words import mix64
from plait.pipeline.decode import DecodeLimits, decode, open_image
from plait.pipeline.images import score_image
from plait.pipeline.read import Limits, Record, expand, read_archive
from plait.schemas.errors import RecordError

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FOLDERS = ("images_pillow_bad", "images_bad_jpeg", "images_bad_misc", "images_pillow_hopper", "images_imagededup")


def peak_mb() -> float:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def photographs(data: Path, count: int) -> list[bytes]:
    """JPEGs of 800 x 600 cut from real photographs at random places and scales."""
    files = sorted((data / "images_imagededup" / "base_images").glob("*.jpg"))
    files += [data / "images_pdq" / "bridge-mods" / "aaa-orig.jpg"]
    sources = [Image.open(file).convert("RGB") for file in files]
    rng = random.Random(0)
    out = []
    for _ in range(count):
        source = rng.choice(sources)
        share = rng.uniform(0.5, 1.0)
        width, height = int(source.width * share), int(source.height * share)
        left, top = rng.randrange(source.width - width + 1), rng.randrange(source.height - height + 1)
        cut = source.resize((800, 600), Image.Resampling.LANCZOS, (left, top, left + width, top + height))
        file = io.BytesIO()
        cut.save(file, "JPEG", quality=85)
        out.append(file.getvalue())
    return out


def rates(contenders: dict[str, Callable[[bytes], object]], pictures: list[bytes]) -> dict[str, float]:
    """Pictures per CPU second of each contender: best of 7 rounds in which they take turns, so that noise hits all."""
    best = dict.fromkeys(contenders, 0.0)
    for _ in range(7):
        for name, work in contenders.items():
            start = time.process_time()
            for data in pictures:
                work(data)
            best[name] = max(best[name], len(pictures) / (time.process_time() - start))
    return best


def hashes(data: Path, count: int) -> None:
    import imagehash

    pictures = photographs(data, count)

    def theirs(content: bytes) -> object:
        return imagehash.phash(Image.open(io.BytesIO(content)))

    def theirs_both(content: bytes) -> object:
        image = Image.open(io.BytesIO(content))
        return imagehash.phash(image), imagehash.dhash(image)

    def ours(content: bytes) -> object:
        return phash(open_image(content)[0])

    mean = sum(map(len, pictures)) / count / 1024
    print(f"{count} JPEGs of 800 x 600, {mean:.0f} KB each")
    contenders: dict[str, Callable[[bytes], object]] = {
        "imagehash.phash": theirs,
        "imagehash.phash and dhash": theirs_both,
        "plait phash": ours,
        "plait score_image": score_image,
        "plait phash and dhash, fast path": fast_hashes,
        "plait score_image, fast path": lambda content: score_image(content, fast=True),
    }
    got = rates(contenders, pictures)
    base, both = got["imagehash.phash"], got["imagehash.phash and dhash"]
    for name, speed in got.items():
        print(f"{name + ':':34s}{speed:6.0f} images/CPU-s, {speed / base:.2f}x its phash, {speed / both:.2f}x its both")
    exact = [score_image(content) for content in pictures]
    fast = [score_image(content, fast=True) for content in pictures]
    for name, reference in (("phash", imagehash.phash), ("dhash", imagehash.dhash)):
        left = np.array([row[name] for row in exact], np.int64)
        right = np.array([row[name] for row in fast], np.int64)
        known = [int(str(reference(Image.open(io.BytesIO(content)))), 16) for content in pictures]
        same = (left.view(np.uint64) == np.array(known, np.uint64)).all()
        away = distance(left, right)
        print(
            f"{name}: exact path equal to imagehash: {same}; fast path {away.mean():.3f} bits of 64 away on average, "
            f"{(away == 0).mean():.1%} equal, at most {away.max()}"
        )


def fast_hashes(content: bytes) -> object:
    from plait.dedup.phash import dhash_squares, fast_hash_squares, phash_squares

    image, _ = open_image(content, draft=(64, 64))
    large, small = fast_hash_squares(image)
    return phash_squares(large[None]), dhash_squares(small[None])


def synthetic(size: int, members: int) -> npt.NDArray[np.int64]:
    """Families of hashes within up to 4 bits of one of `size / members` random hashes."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2**64, size // members, dtype=np.uint64)
    out = base[rng.integers(0, len(base), size)]
    for _ in range(4):
        bit = np.uint64(1) << rng.integers(0, 64, size).astype(np.uint64)
        out = np.where(rng.random(size) < 0.5, out ^ bit, out)
    return out.view(np.int64)


def check(made: npt.NDArray[np.int64], found: npt.NDArray[np.int64], radius: int, sample: int) -> int:
    """A sample of hashes against every representative, one by one; gives the number of wrong ones.

    The rule: among the representatives within the radius, the first in order (most pictures, then the mix of bits).
    """
    values, counts = np.unique(made.view(np.uint64), return_counts=True)
    rank = np.empty(len(values), np.int64)
    rank[np.lexsort((mix64(values), -counts))] = np.arange(len(values))
    leaders = np.unique(made[found].view(np.uint64))
    of_leader = rank[np.searchsorted(values, leaders)]
    wrong = 0
    for place in np.random.default_rng(1).choice(len(made), sample, replace=False).tolist():
        own = made[place : place + 1].view(np.uint64)[0]
        near = np.bitwise_count(leaders ^ own) <= radius
        first = leaders[near][np.argmin(of_leader[near])]
        wrong += int(first != made[found[place]].view(np.uint64))
    return wrong


def clusters(count: int, radius: int) -> None:
    made = synthetic(count, 3)
    start = time.process_time()
    found = cluster(made, radius)
    spent = time.process_time() - start
    peak = peak_mb()
    wrong = check(made, found.representative, radius, 300)
    print(
        f"{count} hashes ({found.distinct} distinct), radius {radius}: {spent:.1f} CPU-s, peak {peak:.0f} MB, "
        f"{found.clusters} clusters, {found.candidates / found.distinct:.0f} comparisons a hash, "
        f"{wrong} of 300 differ from brute force"
    )


def plans() -> None:
    """In memory up to 10^7; beyond, as a shuffle."""
    for radius in (4, 6, 8, 10):
        for exponent in (5, 6, 7):
            cut = plan(10**exponent, radius)
            widths = "+".join(str(w) for w, r in zip(cut.widths, cut.radii, strict=True) if r >= 0)
            print(
                f"radius {radius}, 10^{exponent}: chunks of {widths} bits probed within {cut.radii}, "
                f"{cut.probes} look-ups and {cut.candidates:.0f} candidates a hash"
            )
        moved = shuffle_plan(10**10, radius)
        print(
            f"radius {radius}, 10^10: {moved.chunks} chunks, keys of {moved.agree} that agree ({moved.bits} bits), "
            f"{moved.rows} rows and {moved.candidates:.0f} candidates a hash"
        )


def archives(data: Path) -> None:
    files = [str(f) for name in ("warc_images", "warc_made") for f in sorted((data / name).rglob("*")) if f.is_file()]
    found: dict[bytes, bytes] = {}
    for file in files:
        if not re.search(r"\.(w?arc(\.gz)?|wacz)$", file):
            continue
        for archive in expand([file]):
            for record in read_archive(archive, Limits(), spool_dir=None, image_payloads=True):
                if isinstance(record, Record) and record.kind == "image" and record.payload:
                    found[hashlib.sha256(record.payload).digest()] = record.payload
    rows = []
    for content in found.values():
        with contextlib.suppress(RecordError):
            rows.append(score_image(content))
    hashed = np.array([row["phash"] for row in rows], np.int64)
    large = np.array([min(int(str(row["width"])), int(str(row["height"]))) >= 100 for row in rows])
    alone = degenerate_phash(hashed)
    print(
        f"{len(rows)} distinct pictures, {int(alone.sum())} with a pHash that says nothing; "
        f"of {int(large.sum())} of at least 100 pixels a side, {int((alone & large).sum())}"
    )
    for radius in (0, 4, 6, 10):
        sizes = np.bincount(cluster(hashed, radius, alone).representative)
        print(f"radius {radius}: {int((sizes > 0).sum())} clusters, the largest of {int(sizes.max())}")


def nsfw(data: Path, count: int) -> None:
    from plait.pipeline.nsfw import NsfwModel, nsfw_input

    pictures, model = photographs(data, count), NsfwModel()
    start = time.process_time()
    inputs = np.stack([nsfw_input(content) for content in pictures])
    decoded = time.process_time()
    model.run(inputs)
    scored = time.process_time()
    print(
        f"{count} JPEGs of 800 x 600: {count / (scored - start):.1f} images/CPU-s; "
        f"{1e3 * (decoded - start) / count:.0f} ms to decode, {1e3 * (scored - decoded) / count:.0f} ms in the model"
    )


def mutated(rng: random.Random, seeds: list[bytes]) -> bytes:
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not data:
            break
        place = rng.randrange(len(data))
        kind = rng.randrange(6)
        if kind == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[place] = rng.choice((0, 1, 127, 128, 255))
        elif kind == 2:
            data[place : place + rng.randrange(1, 9)] = rng.randbytes(rng.randrange(9))
        elif kind == 3:
            del data[place : place + rng.randrange(1, 200)]
        elif kind == 4:
            data[place:place] = data[place : place + rng.randrange(1, 200)]
        else:
            head = rng.randrange(min(len(data), 64))  # headers decide most
            data[head] = rng.randrange(256)
    return bytes(data)


def mutate(data: Path, first: int, count: int, pieces: Path | None) -> None:
    files = [file for name in FOLDERS for file in sorted((data / name).rglob("*")) if file.is_file()]
    seeds = [content for file in files if 0 < len(content := file.read_bytes()) < 20_000]
    limits = DecodeLimits(pixels=4_000_000, frames=200)
    ends: collections.Counter[str] = collections.Counter()
    slowest = 0.0
    began = time.process_time()
    for number in range(first, first + count):
        content = mutated(random.Random(number), seeds)
        start = time.process_time()
        try:
            score_image(content, limits)
            if number % 4 == 0:
                decode(content, limits)
            ends["scored"] += 1
        except RecordError as error:
            ends[error.reason] += 1
        slowest = max(slowest, time.process_time() - start)
    spent = time.process_time() - began
    piece = {
        "first": first, "count": count, "files": len(seeds), "ends": dict(ends.most_common()),
        "cpu_s": round(spent, 1), "slowest_s": round(slowest, 2), "peak_mb": round(peak_mb()),
    }  # fmt: skip
    print(f"no crash: {json.dumps(piece)}")
    if pieces is not None:
        with pieces.open("a") as file:
            file.write(json.dumps(piece) + "\n")
        print_pieces(pieces)


def print_pieces(pieces: Path) -> None:
    """The sum of a campaign's pieces; numbers that two pieces share count once."""
    done = {piece["first"]: piece for piece in map(json.loads, pieces.read_text().splitlines())}
    ends: collections.Counter[str] = collections.Counter()
    total, end = 0, 0
    for first, piece in sorted(done.items()):
        if first < end:
            continue
        end = first + piece["count"]
        total += piece["count"]
        ends.update(piece["ends"])
    print(
        f"{len(done)} pieces, {total:,} pictures, no crash; {dict(ends.most_common())}; slowest "
        f"{max(piece['slowest_s'] for piece in done.values()):.2f} s, peak "
        f"{max(piece['peak_mb'] for piece in done.values())} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["hashes", "clusters", "plans", "archives", "nsfw", "mutate"])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--count", type=int)
    parser.add_argument("--radius", type=int, default=6)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutation")
    parser.add_argument("--pieces", type=Path, help="file that a campaign's pieces are added to")
    given = parser.parse_args()
    if given.part == "hashes":
        hashes(given.data, given.count or 120)
    elif given.part == "clusters":
        clusters(given.count or 1_000_000, given.radius)
    elif given.part == "plans":
        plans()
    elif given.part == "archives":
        archives(given.data)
    elif given.part == "nsfw":
        nsfw(given.data, given.count or 32)
    else:
        mutate(given.data, given.first, given.count or 1_000_000, given.pieces)


if __name__ == "__main__":
    main()
