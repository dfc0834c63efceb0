"""Perceptual hashes and their clusters."""

import io
from itertools import pairwise
from pathlib import Path

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from plait.dedup.hamming import HammingIndex, plan, shuffle_plan
from plait.dedup.images import assign, cluster, cluster_hashes, degenerate_dhash, degenerate_phash
from plait.dedup.lanczos import resize_grey, rows_first
from plait.dedup.phash import dhash, distance, hashes, phash
from plait.dedup.words import mix64
from plait.schemas.errors import ConfigError


def unsigned(value: int) -> int:
    return value % (1 << 64)


def greedy(values: np.ndarray, radius: int) -> list[int]:
    """The definition, one hash at a time: value of each hash's representative."""
    distinct, counts = np.unique(values.view(np.uint64), return_counts=True)
    order = np.lexsort((mix64(distinct), -counts))
    leaders: list[int] = []
    of: dict[int, int] = {}
    for value in distinct[order].tolist():
        near = (leader for leader in leaders if (leader ^ value).bit_count() <= radius)
        of[value] = next(near, value)
        if of[value] == value:
            leaders.append(value)
    return [of[v] for v in values.view(np.uint64).tolist()]


def families(rng: np.random.Generator, size: int, flips: int, members: int = 20) -> np.ndarray:
    """Hashes that are a few flipped bits away from some of ``size / members`` random ones."""
    base = rng.integers(0, 2**64, max(1, size // members), dtype=np.uint64)
    out = base[rng.integers(0, len(base), size)]
    for _ in range(flips):
        bit = np.uint64(1) << rng.integers(0, 64, size).astype(np.uint64)
        out = np.where(rng.random(size) < 0.6, out ^ bit, out)
    return out.view(np.int64)


@pytest.mark.parametrize("radius", [0, 1, 2, 4, 5, 6, 8, 10, 13])
def test_clusters_equal_the_definition(radius):
    rng = np.random.default_rng(radius)
    for size, flips in ((10, 3), (700, 6), (3000, 5)):
        made = families(rng, size, flips)
        found = cluster_hashes(made, radius)
        assert made[found].view(np.uint64).tolist() == greedy(made, radius)
        assert (distance(made, made[found]) <= radius).all()


@given(st.lists(st.integers(0, 63), max_size=14), st.lists(st.lists(st.integers(0, 63), max_size=14), max_size=20))
@settings(max_examples=150, deadline=None)
def test_pairs_at_every_distance_are_clustered_as_defined(flips, others):
    made = np.array([sum(1 << b for b in set(bits)) for bits in (flips, *others)], dtype=np.uint64).view(np.int64)
    for radius in (1, 4, 7):
        assert made[cluster_hashes(made, radius)].view(np.uint64).tolist() == greedy(made, radius)


def test_more_blocks_than_one_equal_the_definition(monkeypatch):
    from plait.dedup import images

    monkeypatch.setattr(images, "_FIRST_BLOCK", 7)
    monkeypatch.setattr(images, "_BLOCK", 64)
    made = families(np.random.default_rng(3), 2500, 6, members=40)
    assert made[cluster_hashes(made, 6)].view(np.uint64).tolist() == greedy(made, 6)


def test_a_bucket_beyond_the_comparison_limit_is_compared_in_parts(monkeypatch):
    from plait.dedup import hamming

    monkeypatch.setattr(hamming, "_CANDIDATES_AT_ONCE", 5)
    made = families(np.random.default_rng(4), 400, 4, members=100)
    assert made[cluster_hashes(made, 5)].view(np.uint64).tolist() == greedy(made, 5)


def test_order_of_the_pictures_does_not_matter():
    rng = np.random.default_rng(8)
    made = families(rng, 1000, 5)
    shuffled = rng.permutation(len(made))
    whole = made[cluster_hashes(made, 5)]
    assert (made[shuffled][cluster_hashes(made[shuffled], 5)] == whole[shuffled]).all()


def test_near_pairs_do_not_chain():
    chain = np.array([(1 << n) - 1 for n in range(0, 40, 4)], dtype=np.int64)
    found = cluster(chain, 4)
    assert found.clusters > 3
    assert (distance(chain, chain[found.representative]) <= 4).all()


def test_the_commonest_hash_leads_its_cluster():
    made = np.array([8, 0, 0, 0, 16, 16], dtype=np.int64)
    assert made[cluster_hashes(made, 2)].tolist() == [0] * 6


def test_excluded_hashes_stay_alone_and_lead_no_one():
    made = np.array([0, 0, 1, -1, -1], dtype=np.int64)
    assert cluster_hashes(made, 2, np.array([True, True, False, False, False])).tolist() == [0, 1, 2, 3, 3]
    assert cluster_hashes(made, 2).tolist() == [0, 0, 0, 3, 3]


def test_nothing_and_one_hash_cluster():
    assert cluster_hashes(np.zeros(0, np.int64), 5).tolist() == []
    assert cluster_hashes(np.array([7], np.int64), 5).tolist() == [0]
    assert cluster_hashes(np.array([7], np.int64), 5, np.array([True])).tolist() == [0]


@pytest.mark.parametrize("radius", range(17))
@pytest.mark.parametrize("hashes_in", [10, 100_000, 10**8])
def test_every_plan_leaves_no_pair_out(radius, hashes_in):
    cut = plan(hashes_in, radius)
    assert sum(cut.widths) == 64
    assert sum(r + 1 for r in cut.radii) > radius
    assert all(r <= w for r, w in zip(cut.radii, cut.widths, strict=True))


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 63), max_size=20, unique=True))
@settings(max_examples=200, deadline=None)
def test_hashes_within_the_radius_agree_in_the_chunks_that_a_shuffle_needs(value, flips):
    radius = len(flips)
    cut = shuffle_plan(10**9, radius)
    assert cut.rows >= 1 and cut.agree == cut.chunks - radius >= 1
    other = value ^ sum(1 << bit for bit in flips)
    edges = [64 * i // cut.chunks for i in range(cut.chunks + 1)]
    same = sum((value ^ other) >> low & ((1 << high - low) - 1) == 0 for low, high in pairwise(edges))
    assert same >= cut.agree


@pytest.mark.parametrize("radius", [-1, 21, 64])
def test_an_impossible_radius_is_refused(radius):
    with pytest.raises(ConfigError, match="0 to 20"):
        plan(1000, radius)


def test_the_index_finds_the_first_neighbour_at_any_distance():
    rng = np.random.default_rng(2)
    stored = rng.integers(0, 2**64, 500, dtype=np.uint64)
    queries = stored[rng.integers(0, 500, 300)]
    for flips in range(9):
        asked = queries.copy()
        for row in range(len(asked)):
            for bit in rng.choice(64, flips, replace=False).tolist():
                asked[row] ^= np.uint64(1 << bit)
        found, _ = HammingIndex(stored, plan(len(stored), 6), 6).first_within(asked)
        near = np.bitwise_count(asked[:, None] ^ stored[None]) <= 6
        expected = np.where(near.any(axis=1), near.argmax(axis=1), -1)
        assert (found == expected).all()
        assert (expected >= 0).all() == (flips <= 6)


def blank_pictures() -> list[Image.Image]:
    out = [Image.new("RGB", size, colour) for size in ((40, 40), (300, 170)) for colour in ("white", "black", "#3a7")]
    ramp = np.tile(np.arange(256, dtype=np.uint8), (200, 1))
    out += [Image.fromarray(ramp), Image.fromarray(ramp.T.copy()), Image.fromarray(ramp[:, ::-1].copy())]
    stripes = np.zeros((256, 256), np.uint8)
    stripes[:, ::32] = 255
    return [*out, Image.fromarray(stripes), Image.fromarray(stripes.T.copy())]


def test_blank_pictures_have_hashes_that_say_nothing():
    made = []
    for picture in blank_pictures():
        file = io.BytesIO()
        picture.convert("RGB").save(file, "JPEG", quality=90)
        made += [picture, Image.open(io.BytesIO(file.getvalue()))]
    p, _ = hashes(made)
    assert degenerate_phash(p).all()
    flat, _ = hashes(made[:12])
    assert degenerate_dhash(hashes(made[:12])[1]).all()
    assert set(cluster_hashes(flat, 6, degenerate_phash(flat)).tolist()) == set(range(len(flat)))


def pictures(folder: Path) -> list[Path]:
    kinds = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tiff")
    return [file for file in sorted(folder.rglob("*")) if file.suffix in kinds and "corrupt" not in file.name]


def test_real_pictures_have_hashes_that_say_something(shared_data):
    files = pictures(shared_data / "images_imagededup") + pictures(shared_data / "images_pdq" / "bridge-mods")
    p, d = hashes([Image.open(file) for file in files])
    assert not degenerate_phash(p).any()
    assert not degenerate_dhash(d).any()


@pytest.mark.parametrize("radius", [4, 6, 10])
def test_edits_of_a_picture_are_one_cluster_and_unlike_pictures_are_none(shared_data, radius):
    def subject(file: Path) -> str:
        if "images_pdq" in file.parts:
            known = file.name if file.parent.name == "misc-images" else "bridge"
            return known if file.parent.name != "dih" else f"bridge {file.name}"
        name = file.stem.replace("_gray", "").replace("_resize", "").replace("_corrupt", "")
        return {"alpha_channel_image": "ukbench00120"}.get(name, name)

    files = pictures(shared_data / "images_pdq" / "bridge-mods") + pictures(shared_data / "images_pdq" / "misc-images")
    files += pictures(shared_data / "images_imagededup")
    p, _ = hashes([Image.open(file) for file in files])
    found = cluster_hashes(p, radius, degenerate_phash(p))
    clusters: dict[str, set[int]] = {}
    for file, group in zip(files, found.tolist(), strict=True):
        clusters.setdefault(subject(file), set()).add(group)
    split = {name: groups for name, groups in clusters.items() if len(groups) > 1}
    assert not split
    assert len(set().union(*clusters.values())) == len(clusters)
    assert len(clusters) >= 16


def test_hashes_of_odd_pictures_equal_imagehash():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (90, 70, 4), dtype=np.uint8)
    odd = [*blank_pictures(), Image.new("L", (1, 1), 9), Image.new("RGB", (1, 500), "red")]
    odd += [Image.fromarray(noise[:, :, 0]), Image.fromarray(noise[:, :, :3]), Image.fromarray(noise, "RGBA")]
    odd += [Image.fromarray(noise, "CMYK"), Image.fromarray(noise[:, :, 1]).convert("1")]
    odd += [Image.fromarray(noise[:, :, :3]).convert("P"), Image.fromarray(noise[:, :, :2], "LA")]
    odd += [Image.fromarray(noise[:, :, 0].astype(np.uint16) << 8)]
    symmetric = (np.add.outer(np.abs(np.arange(64) - 31.5), np.abs(np.arange(64) - 31.5)) * 2).astype(np.uint8)
    odd.append(Image.fromarray(symmetric))
    for picture in odd:
        assert unsigned(phash(picture)) == int(str(imagehash.phash(picture)), 16)
        assert unsigned(dhash(picture)) == int(str(imagehash.dhash(picture)), 16)
    together_p, together_d = hashes(odd)
    assert together_p.tolist() == [phash(picture) for picture in odd]
    assert together_d.tolist() == [dhash(picture) for picture in odd]


@given(st.integers(64, 700), st.integers(64, 700), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_our_resize_is_pillows_bit_for_bit(width, height, kind):
    rng = np.random.default_rng(width * 1000 + height)
    pixels = rng.integers(0, 256, (height, width), dtype=np.uint8)
    pixels = [pixels, (pixels & 1) * np.uint8(255), pixels // 64 + np.uint8(190), np.sort(pixels, axis=1)][kind]
    picture = Image.fromarray(pixels)
    if not rows_first(width, height):
        picture, pixels = picture.transpose(Image.Transpose.TRANSPOSE), pixels.T.copy()
    for size in ((32, 32), (9, 8)):
        expected = np.asarray(picture.resize(size, Image.Resampling.LANCZOS))
        assert (resize_grey(pixels, *size) == expected).all()


@pytest.mark.parametrize(
    "size", [(1, 3000), (3000, 1), (64, 64), (63, 64), (100, 150), (100, 151), (90, 1200), (33, 5)]
)
def test_hashes_of_every_shape_equal_imagehash(size):
    pixels = np.random.default_rng(size[0]).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    assert unsigned(phash(picture)) == int(str(imagehash.phash(picture)), 16)
    assert unsigned(dhash(picture)) == int(str(imagehash.dhash(picture)), 16)


def test_distance_counts_the_sign_bit():
    assert distance(np.array([0, -1]), np.array([-(2**63), 0])).tolist() == [1, 64]


def test_new_pictures_join_the_clusters_of_an_earlier_build():
    leaders = np.array([0, 0b111, -1], dtype=np.int64)
    new = np.array([0b1, 0b11111, -2, 0x0FF0_0FF0_0FF0_0FF0, 0], dtype=np.int64)
    assert assign(new, leaders, 2).tolist() == [0, 1, 2, -1, 0]
    assert assign(new, leaders[:0], 2).tolist() == [-1] * 5
    assert assign(new[:0], leaders, 2).tolist() == []
