"""Packing: whole pictures, budgets, isolation, and images in the order of their tokens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.loader import (
    Corpus,
    ImageTokens,
    Order,
    PackRecipe,
    Picture,
    Resize,
    SampleRecipe,
    SequenceRecipe,
    Source,
    Text,
    Tiles,
    flamingo,
    internvl,
    lcl,
)  # fmt: skip
from plait.loader.packing import fitted, packs
from plait.loader.sequence import IGNORE, atoms, parts
from plait.schemas.errors import ConfigError

IMAGE = ImageTokens(1, each=4, start=2, end=3)
BOS, EOS, CHUNK = 5, 6, 7
SEQUENCE = SequenceRecipe(IMAGE, bos=BOS, eos=EOS)


def tokenize(text: str) -> list[int]:
    return [10 + byte for byte in text.encode()]


def spoken(ids) -> str:
    names = {1: "I", 2: "<", 3: ">", BOS: "^", EOS: "$", CHUNK: "|"}
    return "".join(names.get(int(token), chr(int(token) - 10) if token >= 10 else "?") for token in ids)


def picture(width: int = 32, height: int = 32, **info) -> Picture:
    return Picture(memoryview(b"x"), f"{width}.jpg", {"width": width, "height": height, **info})


def ids_of(made) -> np.ndarray:
    return np.concatenate([atom.ids for atom in made])


@pytest.fixture(scope="module")
def order(corpus_folder):
    return Order((Source(Corpus(corpus_folder)),), seed=3, window=30)


def made_packs(order, samples, recipe):
    return list(packs(order, samples, recipe, ((window, 0) for window in range(order.windows))))


def test_natural_sequence_reads_as_the_document_does():
    nodes = [Text("ab"), Text("cd"), picture(), Text("ef")]
    assert spoken(ids_of(atoms(b"", nodes, SEQUENCE, tokenize, Resize(16)))) == "^ab\ncd<IIII>ef$"


def test_tiles_count_as_images():
    wide = atoms(b"", [picture(900, 450)], SEQUENCE, tokenize, Tiles(16, most=4))
    assert spoken(ids_of(wide)) == "^<" + "I" * 4 * 3 + ">$"  # two tiles and a thumbnail


def test_picture_without_bytes_leaves_no_token():
    nodes = [Text("ab"), Picture(None, None, {"url": "http://x"}), Text("cd")]
    assert spoken(ids_of(atoms(b"", nodes, SEQUENCE, tokenize, Resize(16)))) == "^ab\ncd$".replace("\n", "\n")


def test_loss_counts_text_and_by_switch_the_start_of_an_image():
    nodes = [Text("ab"), picture(), Text("c")]
    for learn, expected in ((False, "^ab......c$"), (True, "^ab<.....c$")):
        made = atoms(b"", nodes, replace(SEQUENCE, learn_start=learn), tokenize, Resize(16))
        labels = np.concatenate([atom.labels for atom in made])
        assert "".join("." if label == IGNORE else spoken([label]) for label in labels) == expected


def test_flamingo_ends_chunks_and_learns_from_the_first_image():
    sequence = SequenceRecipe(ImageTokens(1), eos=EOS, separator=" ", chunk_end=CHUNK, learn_from_first_image=True)
    nodes = [Text("no"), picture(), Text("ab"), picture(), Text("cd")]
    made = atoms(b"", nodes, sequence, tokenize, Resize(16))
    assert spoken(ids_of(made)) == "noIab|Icd|$"
    labels = np.concatenate([atom.labels for atom in made])
    assert "".join("." if label == IGNORE else spoken([label]) for label in labels) == "...ab|.cd|$"


def test_around_puts_a_picture_beside_its_text_by_a_coin_of_the_document():
    sequence = replace(SEQUENCE, placement="around", bos=None, eos=None)
    nodes = [Text("ab"), picture(), Text("cd")]
    seen = {spoken(ids_of(atoms(bytes([n]) * 16, nodes, sequence, tokenize, Resize(16)))) for n in range(40)}
    assert seen == {"ab<IIII>cd", "ab\ncd<IIII>"}
    again = [spoken(ids_of(atoms(b"1" * 16, nodes, sequence, tokenize, Resize(16)))) for _ in range(3)]
    assert len(set(again)) == 1
    heads = sum(
        spoken(ids_of(atoms(n.to_bytes(16, "big"), nodes, sequence, tokenize, Resize(16)))) == "ab\ncd<IIII>"
        for n in range(400)
    )
    assert 150 < heads < 250
    matched = [Text("ab"), Text("cd"), picture(matched_text_index=0)]
    assert "cd<" not in spoken(ids_of(atoms(b"1" * 16, matched, sequence, tokenize, Resize(16))))


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_parts_keep_every_token_and_never_cut_a_picture(data):
    nodes = [
        picture(data.draw(st.integers(8, 900)), 100)
        if data.draw(st.booleans())
        else Text("x" * data.draw(st.integers(0, 60)))
        for _ in range(data.draw(st.integers(0, 10)))
    ]
    made = atoms(b"", nodes, SEQUENCE, tokenize, Tiles(16, most=3))
    budget, images = data.draw(st.integers(18, 60)), data.draw(st.integers(4, 9))
    cut = parts(0, b"", made, max_tokens=budget, max_images=images, long="split", without_image=True)
    assert "".join(spoken(atom.ids) for part in cut for atom in part.atoms) == spoken(ids_of(made))
    for part in cut:
        assert part.tokens == sum(len(atom.ids) for atom in part.atoms) <= budget
        assert part.images == sum(atom.images for atom in part.atoms) <= images
        text = "".join(spoken(atom.ids) for atom in part.atoms)
        assert text.count("<") == text.count(">")
        assert text.count("I") == 4 * part.images


@pytest.mark.parametrize(("long", "count"), [("split", 3), ("truncate", 1), ("skip", 0)])
def test_long_document(long, count):
    made = atoms(b"", [Text("x" * 100)], SEQUENCE, tokenize, Resize(16))
    assert len(parts(0, b"", made, max_tokens=40, max_images=None, long=long, without_image=True)) == count


def test_picture_larger_than_a_pack_is_one_clear_error():
    made = atoms(b"", [picture()], SEQUENCE, tokenize, Resize(16))
    with pytest.raises(ConfigError, match="raise the budgets"):
        parts(0, b"", made, max_tokens=5, max_images=None, long="split", without_image=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 100), st.integers(0, 8)), max_size=60))
def test_packs_hold_every_part_once_within_both_budgets(sizes):
    recipe = PackRecipe(tokenize, "bytes", SEQUENCE, max_tokens=100, max_images=8)
    cut = [
        part
        for number, (tokens, images) in enumerate(sizes)
        for part in [replace(_part(), document=number, tokens=tokens, images=images)]
    ]
    bins = fitted(cut, recipe)
    assert sorted(part.document for group in bins for part in group) == list(range(len(sizes)))
    for group in bins:
        assert sum(part.tokens for part in group) <= 100
        assert sum(part.images for part in group) <= 8
    assert all(len(group) == 1 for group in fitted(cut, replace(recipe, together=False)))


def _part():
    return parts(
        0, b"", atoms(b"", [Text("x")], SEQUENCE, tokenize, Resize(16)),
        max_tokens=9, max_images=None, long="split", without_image=True,
    )[0]  # fmt: skip


def test_packs_fill_their_budget(order):
    recipe = PackRecipe(tokenize, "bytes", SEQUENCE, max_tokens=512)
    found = made_packs(order, SampleRecipe(pixels=Resize(8)), recipe)
    filled = [len(pack.tokens) / 512 for pack in found]
    assert max(filled) <= 1
    assert np.mean(filled) > 0.85  # the last pack of each window of 30 documents is rarely full


def test_images_come_in_the_order_of_their_tokens(order):
    """The fault of OpenFlamingo's MMC4 reader: its images are in another order than its image tokens."""
    recipe = PackRecipe(tokenize, "bytes", replace(SEQUENCE, placement="around"), max_tokens=400, max_images=6)
    decoded = {}
    for document in order.sources[0].corpus:
        decoded[document.doc_id] = [Resize(8).apply(p.data)[0].tobytes() for p in document.images if p.data]
    seen = 0
    for pack in made_packs(order, SampleRecipe(pixels=Resize(8)), recipe):
        assert len(pack.images) == len(pack.image_positions) == (pack.tokens == 2).sum()
        assert (pack.tokens[pack.image_positions] == 1).all()
        assert (pack.tokens[pack.image_positions - 1] == 2).all()
        owner = np.searchsorted(pack.cu_seqlens, pack.image_positions, side="right") - 1
        for image, document in zip(pack.images, owner, strict=True):
            assert image.tobytes() in decoded[pack.doc_ids[document]]
            seen += 1
    assert seen == 180


def test_documents_of_a_pack_do_not_see_each_other(order):
    recipe = PackRecipe(tokenize, "bytes", SEQUENCE, max_tokens=1000)
    pack = next(pack for pack in made_packs(order, SampleRecipe(pixels=Resize(8)), recipe) if len(pack.doc_ids) > 1)
    assert pack.cu_seqlens[-1] == len(pack.tokens)
    mask = pack.block_mask()
    first = pack.cu_seqlens[1]
    assert not mask[first:, :first].any()
    assert not np.triu(mask, 1).any()
    assert mask[first - 1, :first].all()
    assert pack.position_ids[first] == 0
    assert [spoken(pack.tokens[[begin]]) for begin in pack.cu_seqlens[:-1]] == ["^"] * len(pack.doc_ids)
    last = pack.last_image()
    for place, image in enumerate(last):
        document = np.searchsorted(pack.cu_seqlens, place, side="right") - 1
        before = [n for n, at in enumerate(pack.image_positions) if pack.cu_seqlens[document] <= at <= place]
        assert image == (before[-1] if before else -1)


def test_contrastive_images_have_text_before_them(order):
    recipe = PackRecipe(
        tokenize, "bytes", replace(SEQUENCE, bos=None, placement="around"), max_tokens=900, together=False
    )
    for pack in made_packs(order, SampleRecipe(pixels=Resize(8)), recipe):
        for at, usable in zip(pack.image_positions, pack.contrastive, strict=True):
            assert usable == any(token >= 10 for token in pack.tokens[:at])


def test_presets_follow_the_papers(order):
    samples, pack = lcl(tokenize, "bytes", IMAGE, eos=EOS)
    found = made_packs(order, replace(samples, pixels=Resize(8, "crop")), pack)
    assert all(len(one.doc_ids) == 1 and len(one.tokens) <= 2048 and 1 <= len(one.images) <= 6 for one in found)
    samples, pack = flamingo(tokenize, "bytes", image=1, chunk_end=CHUNK, eos=EOS)
    found = made_packs(order, replace(samples, pixels=Resize(8, "crop")), pack)
    assert all(len(one.tokens) <= 256 and len(one.images) == (one.tokens == 1).sum() for one in found)
    samples, pack = internvl(tokenize, "bytes", IMAGE, bos=BOS, eos=EOS)
    found = made_packs(order, replace(samples, pixels=Tiles(8)), pack)
    assert all(len(one.images) <= 48 and len(one.tokens) <= 8192 for one in found)
    assert max(len(one.doc_ids) for one in found) > 1


def test_packs_of_other_views_are_refused(order):
    recipe = PackRecipe(tokenize, "bytes", SEQUENCE)
    for samples in (SampleRecipe(view="text"), SampleRecipe(pixels=None)):
        with pytest.raises(ConfigError, match="natural samples"):
            made_packs(order, samples, recipe)
