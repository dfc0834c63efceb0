"""Examples of the report: what is near a threshold, what may be shown, what is a duplicate."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from plait.explorer.funnel import documents_through, funnel_section
from plait.explorer.near import nearest, nearly_dropped
from plait.explorer.pictures import HIDDEN, thumbnail, thumbnail_of
from plait.explorer.quantiles import at_quantiles
from plait.explorer.safety import forbidden, unsafe, unshown
from plait.explorer.series import picture_rows, thresholds
from plait.explorer.sheets import contact_sheets
from plait.filters.rules import Rule
from plait.loader import Corpus, Picture
from plait.pipeline.publish import write_corpus
from plait.schemas.manifest import Manifest, RecipeRecord, StageBooks, Totals
from plait.schemas.shards import shard_schema

SCHEMA = shard_schema({"words": pa.float64()})


def encoded(seed: int, size: tuple[int, int] = (400, 300)) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "jpeg")
    return file.getvalue()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    """Thirty documents; every third shows the same picture, the others one of their own."""
    folder = tmp_path_factory.mktemp("examples")
    rows = []
    for number in range(30):
        shared = number % 3 == 0
        data = encoded(1000 if shared else number)
        info = {"sha256": hashlib.sha256(data).digest(), "bytes": len(data), "width": 400, "height": 150 + number}
        info |= {
            "phash": 77 if shared else 1000 + number,
            "p_hash_dup_count": 40 if shared else 1,
            "alt": f"alt {number}",
        }
        info |= {"clip_similarity": number / 60, "clip_nsfw": 0.1}
        info |= {"matched_text_index": 0} if number == 29 else {}
        rows.append({
            "doc_id": bytes([number]) * 16, "order_key": number, "url": f"http://x/{number}", "title": f"T{number}",
            "words": float(number), "texts": [f"Text {number}", None], "tags": ["p", None],
            "images": [None, {"bytes": data, "path": "a.jpg"}], "image_info": [None, info],
        })  # fmt: skip
    manifest = Manifest("0.1.0", RecipeRecord("r", "{}", "d"), "", Totals(), scores={"words": "double"})
    write_corpus(folder, SCHEMA, [[pa.RecordBatch.from_pylist(rows, schema=SCHEMA)]], manifest)
    return Corpus(folder)


def test_nearest_values_come_first_and_far_ones_not_at_all():
    values = np.array([5.0, 1.0, np.nan, 2.0, 9.0])
    assert nearest(values, 1.4, 2).tolist() == [1, 3]
    assert nearest(values, 500.0, 2).tolist() == []
    assert nearest(np.array([np.nan]), 1.0, 2).tolist() == []


def test_near_examples_are_the_kept_ones_beside_the_threshold(corpus):
    rules = (
        Rule("few_words", "document", "3 <= words", ""),
        Rule("flat", "image", "height >= 150", ""),
        Rule("nsfw_words", "document", "words >= 2", ""),
        Rule("edit", "node", edit="remove_urls"),
    )
    rows = corpus.to_arrow([name for name in corpus.columns if name not in ("images", "texts", "tags")])
    found = nearly_dropped(corpus, rows, rules)
    assert [example.value for example in found["few_words"]] == [3.0, 2.0, 4.0]
    assert [example.value for example in found["flat"]] == [150.0, 151.0, 152.0]
    assert found["flat"][0].picture.startswith("data:image/webp")
    assert "nsfw_words" not in found
    assert "edit" not in found


def test_thresholds_are_the_numbers_that_scores_are_compared_with():
    assert thresholds("3 <= words <= 10 and lang == 'en' or not caps > 0.5") == [
        ("words", 3),
        ("words", 10),
        ("caps", 0.5),
    ]
    assert thresholds("trim_lines") == []
    assert thresholds("3 <") == []


def test_contact_sheet_shows_a_cluster_with_its_counts(corpus):
    rows = corpus.to_arrow([name for name in corpus.columns if name not in ("images", "texts", "tags")])
    (sheet,) = contact_sheets(corpus, rows)
    assert (sheet.seen, sheet.kept) == (40, 10)
    assert len({picture[0] for picture in sheet.pictures}) == 1
    assert len(picture_rows(rows)[1]) == 30


def test_scores_of_similarity_are_shown_at_their_quantiles(corpus):
    rows = corpus.to_arrow([name for name in corpus.columns if name not in ("images", "texts", "tags")])
    found = {score.score: score for score in at_quantiles(corpus, rows)}
    assert set(found) == {"clip_similarity"}  # that of nudity is left out, columns without values too
    shown = [value for _, value, _, _ in found["clip_similarity"].examples]
    assert shown == sorted(shown)
    assert shown[0] == 0
    assert found["clip_similarity"].examples[0][3] == "alt 0"
    assert found["clip_similarity"].examples[-1][3] == "Text 29"  # matched by CLIP


def test_unsafe_pictures_have_a_placeholder():
    data = encoded(1)
    assert thumbnail(Picture(memoryview(data), "a.jpg", {"nsfw": 0.1})).startswith("data:image/webp")
    assert thumbnail(Picture(memoryview(data), "a.jpg", {"nsfw": 0.9})) == HIDDEN
    assert unsafe({"nsfw_score": float("nan")})
    assert not unsafe({"nsfw": None, "width": 3})
    assert thumbnail_of(b"no picture") == ""


def test_safety_rules_forbid_pictures_that_another_rule_dropped_first():
    rows = pa.RecordBatch.from_pylist(
        [{"width": 10, "nsfw": 0.1}, {"width": 10, "nsfw": 0.4}, {"width": 10, "nsfw": 0.8}]
    )
    strict = Rule("image_nsfw", "image", "nsfw <= 0.3", "")
    assert forbidden(rows, ()) == [False, False, True]
    assert forbidden(rows, (strict, Rule("wide", "image", "width > 20", ""))) == [False, True, True]
    assert unshown("listed_image")
    assert not unshown("image_too_small")


def test_documents_that_revisits_answer_count_as_read():
    funnel = [
        StageBooks("extract", "document", 60, 40, {"no_content": 20}),
        StageBooks("extract", "image", 9, 9, {}),
        StageBooks("extract_revisits", "document", 40, 10, {"no_content": 30}),
        StageBooks("dedup_url", "document", 50, 4, {"duplicate_url": 46}),
    ]
    read, rest = documents_through(funnel)
    assert (read.entered, read.left, read.dropped) == (100, 50, {"no_content": 50})
    assert rest == funnel[-1]
    page = funnel_section(funnel)
    assert page.count("50.0%") >= 2  # beside both corpora's shares of extraction
    assert page.count('<td class="n">4.0%</td>') >= 2  # overall
