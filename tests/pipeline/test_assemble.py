"""Assembly: what is kept, what is dropped and why, and that the books add up."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.filters.recipe import Recipe
from plait.filters.rules import Rule
from plait.filters.sections import Images
from plait.pipeline import assemble as module
from plait.pipeline.assemble import ASSEMBLE_IMAGE, assemble
from plait.schemas.documents import document_schema
from plait.schemas.errors import UnitError
from plait.schemas.shards import shard_schema

SCORES = {"words": pa.float64()}


def recipe(*rules: Rule, cap: int = 10, once: bool = True) -> Recipe:
    return Recipe(name="test", description="", rules=rules, images=Images(cap=cap, once_per_document=once))


def document(number: int, nodes: list[dict], **more) -> dict:
    row = {"doc_id": bytes([number]) * 16, "order_key": number, "url": f"http://site.example/{number}", "nodes": nodes}
    return {**row, "lang": "en", "lang_score": 0.9, "words": 10.0, "archive": "a.warc", "offset": number, **more}


def text(words: str = "some words") -> dict:
    return {"kind": "text", "tag": "p", "text": words}


def picture(url: str = "http://site.example/p.jpg", **declared) -> dict:
    return {"kind": "image", "image_url": url, "alt": "an alt", **declared}


def image(number: int, node: int, name: str = "p", **more) -> dict:
    digest = hashlib.sha256(name.encode()).digest()
    seen = int.from_bytes(digest[:7], "little")
    row = {"doc_id": bytes([number]) * 16, "node": node, "image_url": f"http://site.example/{name}.jpg"}
    row |= {"archive": "a.warc", "archive_id": "id", "offset": 7, "length": 9}
    row |= {"pack": "pack-0", "pack_offset": 100 * node, "pack_length": 100, "bytes": 100, "frames": 1}
    row |= {"image_id": digest[:16], "sha256": digest, "format": "jpeg", "width": 300, "height": 200}
    phash = int.from_bytes(digest[8:15], "big")  # as many bits set as a photograph's hash has
    return {**row, "phash": phash | 0xFFFFFF, "dhash": -seen, "dup_rank": 0, **more}


def without_bytes(row: dict, reason: str) -> dict:
    keep = ("doc_id", "node", "image_url")
    return {**dict.fromkeys(ASSEMBLE_IMAGE.names), **{name: row[name] for name in keep}, "reason": reason}


def run(documents: list[dict], images: list[dict], *rules: Rule, mode: str = "archive", cap: int = 10, once=True):
    rows = pa.RecordBatch.from_pylist(documents, schema=document_schema(SCORES))
    facts = pa.RecordBatch.from_pylist(images, schema=ASSEMBLE_IMAGE)
    return assemble(rows, facts, recipe(*rules, cap=cap, once=once), mode=mode)


def reasons(assembled, scope: str) -> list[tuple[int, int | None, str]]:
    drops = [row for row in assembled.drops.to_pylist() if row["scope"] == scope]
    return [(row["doc_id"][0], row["node"], row["reason"]) for row in drops]


def test_row_keeps_nodes_in_reading_order_with_nulls():
    nodes = [text("one"), picture(), {"kind": "text", "tag": "h2", "text": "two"}, text("three")]
    made = run([document(1, nodes)], [image(1, 1)])
    row = made.rows.to_pylist()[0]
    assert made.rows.schema == shard_schema(SCORES)
    assert row["texts"] == ["one", None, "two", "three"]
    assert row["tags"] == ["p", None, "h2", "p"]
    digest = hashlib.sha256(b"p").hexdigest()
    assert row["images"] == [None, {"bytes": None, "path": f"{digest}.jpg"}, None, None]
    assert [info is None for info in row["image_info"]] == [True, False, True, True]
    assert row["image_info"][1]["alt"] == "an alt"
    assert row["words"] == 10.0
    assert made.references.to_pylist() == [
        {"row": 0, "slot": 1, "pack": "pack-0", "pack_offset": 100, "pack_length": 100}
    ]


def test_what_a_limit_measured_is_in_the_ledger():
    row = without_bytes(image(1, 0), "image_too_many_pixels") | {
        "verdict_value": 9e9, "verdict_threshold": 4e7, "verdict_detail": "90000 x 100000",
    }  # fmt: skip
    other = without_bytes(image(1, 2), "image_undecodable") | {"verdict_detail": "no bytes"}
    made = run([document(1, [picture(), text(), picture(), picture()])], [row, other, image(1, 3)])
    drops = [(d["reason"], d["value"], d["threshold"], d["detail"]) for d in made.drops.to_pylist()]
    assert drops == [
        ("image_too_many_pixels", 9e9, "<= 4e+07", "90000 x 100000"),
        ("image_undecodable", None, None, "no bytes"),
    ]


def test_slots_close_up_where_an_image_is_dropped():
    nodes = [picture(), text("one"), picture(), text("two")]
    made = run([document(1, nodes)], [without_bytes(image(1, 0), "image_unreadable"), image(1, 2)])
    assert made.rows.to_pylist()[0]["texts"] == ["one", None, "two"]
    assert made.references.to_pylist()[0]["slot"] == 1
    assert reasons(made, "image") == [(1, 0, "image_unreadable")]


def test_image_node_nobody_knows_is_not_in_archives():
    made = run([document(1, [text(), picture(), picture("http://x.example/y.png")])], [image(1, 1)])
    assert reasons(made, "image") == [(1, 2, "image_not_in_archives")]


def test_first_failing_rule_names_the_drop_with_value_and_condition():
    wide = Rule("narrow_image", "image", "width >= 400", "plait", stage="assemble")
    tall = Rule("short_image", "image", "height >= 400", "plait", stage="assemble")
    made = run([document(1, [text(), picture(), picture()])], [image(1, 1), image(1, 2, "q", width=500)], wide, tall)
    assert reasons(made, "image") == [(1, 1, "narrow_image"), (1, 2, "short_image")]
    drop = made.drops.to_pylist()[1]
    assert (drop["value"], drop["threshold"], drop["url"]) == (300.0, "width >= 400", "http://site.example/p.jpg")
    assert reasons(made, "document") == [(1, None, "no_image_left")]


def test_same_picture_twice_in_a_document_is_kept_once():
    nodes = [text(), picture(), picture(), picture()]
    near = image(1, 3, "other", phash=image(1, 1)["phash"], dhash=image(1, 1)["dhash"])
    made = run([document(1, nodes)], [image(1, 1), image(1, 2), near])
    assert reasons(made, "image") == [(1, 2, "duplicate_in_document"), (1, 3, "duplicate_in_document")]
    assert made.drops.to_pylist()[0]["detail"] == "node 1"
    assert (
        run([document(1, nodes)], [image(1, 1), image(1, 2), near], once=False).rows["images"].flatten().null_count == 1
    )


def test_flat_pictures_with_equal_hashes_are_no_repeats():
    flat = {"phash": 1 << 62, "dhash": 0}
    made = run([document(1, [text(), picture(), picture()])], [image(1, 1, **flat), image(1, 2, "q", **flat)])
    assert made.books.images_out == 2


def test_equal_pictures_of_two_documents_are_no_repeats():
    made = run([document(1, [text(), picture()]), document(2, [text(), picture()])], [image(1, 1), image(2, 1)])
    assert made.rows.num_rows == 2


def test_cap_counts_documents():
    documents = [document(n, [text(), picture()]) for n in (1, 2, 3)]
    made = run(documents, [image(n, 1, dup_rank=n - 1) for n in (1, 2, 3)], cap=2)
    assert reasons(made, "image") == [(3, 1, "image_cap")]
    assert made.drops.to_pylist()[1]["value"] == 3.0


def test_dropped_document_takes_its_images_with_it():
    few = Rule("too_many_images", "document", "images <= 1", "OBELICS keeps 1 to 30", stage="assemble")
    made = run([document(1, [text(), picture(), picture()])], [image(1, 1), image(1, 2, "q")], few)
    assert reasons(made, "document") == [(1, None, "too_many_images")]
    assert reasons(made, "image") == [(1, 1, "document_dropped"), (1, 2, "document_dropped")]
    assert made.books.alone == {"too_many_images": 1}
    assert made.rows.num_rows == 0
    assert made.references.num_rows == 0


def test_document_of_images_alone_has_no_text_left():
    made = run([document(1, [picture()])], [image(1, 0)])
    assert reasons(made, "document") == [(1, None, "no_text_left")]


def test_urls_mode_keeps_what_no_archive_holds_as_urls():
    nodes = [text(), picture("http://x.example/a.jpg", width=640, height=480), picture()]
    images = [without_bytes(image(1, 1), "image_not_in_archives"), without_bytes(image(1, 2), "image_undecodable")]
    made = run([document(1, nodes)], images, mode="urls")
    row = made.rows.to_pylist()[0]
    assert row["images"] == [None, None]
    info = row["image_info"][1]
    assert (info["url"], info["declared_width"], info["width"], info["alt"]) == (
        "http://x.example/a.jpg", 640, None, "an alt",
    )  # fmt: skip
    assert reasons(made, "image") == [(1, 2, "image_undecodable")]


def test_urls_mode_judges_size_by_what_the_page_declares():
    wide = Rule("narrow_image", "image", "width >= 400", "plait", stage="assemble")
    nodes = [text(), picture("http://x/a", width=640, height=9), picture("http://x/b", width=9, height=9), picture()]
    images = [without_bytes(image(1, node), "image_not_in_archives") for node in (1, 2, 3)]
    made = run([document(1, nodes)], images, wide, mode="urls")
    assert reasons(made, "image") == [(1, 2, "narrow_image")]


def test_urls_mode_keeps_one_of_two_equal_urls():
    nodes = [text(), picture("http://x/a"), picture("http://x/a")]
    images = [without_bytes(image(1, node), "image_not_in_archives") for node in (1, 2)]
    assert reasons(run([document(1, nodes)], images, mode="urls"), "image") == [(1, 2, "duplicate_in_document")]


def test_none_mode_keeps_documents_on_their_text():
    made = run([document(1, [text("one"), picture(), text("two")])], [], mode="none")
    assert made.rows.to_pylist()[0]["texts"] == ["one", "two"]
    assert reasons(made, "image") == [(1, 1, "images_off")]


def test_document_over_its_budget_of_bytes_loses_the_later_images(monkeypatch):
    monkeypatch.setattr(module, "MAX_DOCUMENT_IMAGE_BYTES", 250)
    documents = [document(1, [text(), picture()]), document(2, [text(), picture(), picture(), picture()])]
    images = [image(1, 1), image(2, 1), image(2, 2, "q"), image(2, 3, "r")]
    assert reasons(run(documents, images), "image") == [(2, 3, "document_bytes")]


@pytest.mark.parametrize(
    "wrong",
    [
        image(9, 1),  # no such document
        image(1, 7),  # no such node
        image(1, 0),  # a text
    ],
)
def test_image_row_that_fits_no_node_is_our_fault(wrong):
    with pytest.raises(UnitError):
        run([document(1, [text(), picture()])], [wrong])


def test_empty_shard():
    made = run([], [])
    assert (made.rows.num_rows, made.drops.num_rows, made.references.num_rows) == (0, 0, 0)
    assert made.books.balanced()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), mode=st.sampled_from(["archive", "urls", "none"]))
def test_every_image_and_document_is_in_the_rows_or_among_the_drops(seed, mode):
    rng = np.random.default_rng(seed)
    documents, images = [], []
    for number in range(int(rng.integers(1, 8))):
        nodes = []
        for node in range(int(rng.integers(0, 7))):
            if rng.random() < 0.4:
                nodes.append(text())
                continue
            nodes.append(picture(f"http://x/{rng.integers(5)}", width=int(rng.integers(1, 500))))
            row = image(
                number, node, f"p{rng.integers(5)}", width=int(rng.integers(1, 500)), dup_rank=int(rng.integers(4))
            )
            kind = rng.random()
            if kind < 0.7:
                images.append(row)
            elif kind < 0.9:
                images.append(without_bytes(row, str(rng.choice(["image_not_in_archives", "image_undecodable"]))))
        documents.append(document(number, nodes))
    size = Rule("narrow_image", "image", "width >= 100", "plait", stage="assemble")
    count = Rule("too_many_images", "document", "images <= 2", "plait", stage="assemble")
    made = run(documents, images, size, count, mode=mode, cap=2)
    assert made.books.balanced()
    drops = made.drops.to_pylist()
    assert made.books.documents_out == made.rows.num_rows
    total = sum(node["kind"] == "image" for row in documents for node in row["nodes"])
    kept = sum(info is not None for row in made.rows.to_pylist() for info in row["image_info"])
    gone = [(row["doc_id"], row["node"]) for row in drops if row["scope"] == "image"]
    assert kept + len(gone) == total
    assert len(set(gone)) == len(gone)
    lost = {row["doc_id"] for row in drops if row["scope"] == "document"}
    assert lost | set(made.rows["doc_id"].to_pylist()) == {row["doc_id"] for row in documents}
    for row in made.rows.to_pylist():
        assert all((t is None) != (i is None) for t, i in zip(row["texts"], row["image_info"], strict=True))
