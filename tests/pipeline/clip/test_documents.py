"""A shard's documents against their pictures: memory, ranks, and what a dropped picture leaves to others."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from plait.filters.recipe import Recipe, load_recipe
from plait.filters.rules import Rule
from plait.pipeline.assemble import ASSEMBLE_IMAGE, assemble
from plait.pipeline.clip.documents import compare
from plait.pipeline.clip.features import pack
from plait.pipeline.clip.match import assign
from plait.pipeline.clip.model import ClipModel, ClipRun, ClipSource
from plait.schemas.clip import PLACED_FEATURE
from plait.schemas.documents import document_schema
from tests.tiny_clip.corpus import MODEL

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def tiny() -> ClipModel:
    return ClipModel(ClipSource.of(str(MODEL)), ClipRun(batch=32, threads=1))


def _recipe(**clip: object) -> Recipe:
    recipe = load_recipe("annotate")
    return recipe.model_copy(update={"clip": recipe.clip.model_copy(update=clip)})


def _shard(pages: list[tuple[list[str], int]], width: int, seed: int = 0) -> tuple[pa.RecordBatch, ...]:
    """Documents of texts followed by pictures with random features; images and features of them."""
    rng = np.random.default_rng(seed)
    documents, images, features = [], [], []
    for number, (texts, pictures) in enumerate(pages):
        doc_id = number.to_bytes(16, "big")
        nodes = [{"kind": "text", "tag": "p", "text": text} for text in texts]
        for picture in range(pictures):
            name = {"order_key": number, "doc_id": doc_id, "node": len(nodes)}
            vector = rng.normal(size=width).astype(np.float32)
            features.append(name | {"feature": pack(vector / np.linalg.norm(vector))})
            image_id = doc_id + picture.to_bytes(2, "big")
            images.append(name | {"image_url": "http://a.test/x", "image_id": image_id, "pack_length": 1})
            nodes.append({"kind": "image", "image_url": "http://a.test/x"})
        row = {"doc_id": doc_id, "order_key": number, "url": "http://a.test/", "lang": "en", "nodes": nodes}
        documents.append(row)
    return (
        pa.RecordBatch.from_pylist(documents, schema=document_schema({})),
        pa.RecordBatch.from_pylist(images, schema=ASSEMBLE_IMAGE),
        pa.RecordBatch.from_pylist(features, schema=PLACED_FEATURE),
    )


def test_memory_is_bounded_by_the_batch_and_one_documents_cosines(tiny: ClipModel):
    sentences = " ".join(f"Sentence number {number} is about a red star." for number in range(5000))
    shard = _shard([([sentences], 500)], tiny.width)
    small = _shard([(["A red star. Two blue rings."], 2)], tiny.width)
    compare(*small, tiny, _recipe(), mode="archive")
    tracemalloc.start()  # numpy and Python; torch's own peak is a batch's
    found, spans = compare(*shard, tiny, _recipe(), mode="archive")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(spans.column("clip_spans")[0]) == 5000
    assert len(set(found.column("matched_span").to_pylist())) == 500
    assert peak < 200 << 20  # 10 MB of cosines, their order and the solver's float64


def test_spans_over_the_limit_are_counted(tiny: ClipModel):
    shard = _shard([(["One red star. Two blue rings. Three green arrows. " + "word " * 60], 1)], tiny.width)
    _, spans = compare(*shard, tiny, _recipe(document_spans=2), mode="archive")
    assert len(spans.column("clip_spans")[0]) == 2
    assert spans.column("clip_spans_cut").to_pylist() == [2]
    assert spans.column("clip_tokens_cut").to_pylist() == [0]


def test_a_picture_that_a_rule_drops_takes_no_sentence_from_another(tiny: ClipModel):
    texts = ["A red star. Two blue rings. Three green arrows."]
    shard = _shard([(texts, 3)], tiny.width, seed=4)
    every, _ = compare(*shard, tiny, _recipe(matrix=True), mode="archive")
    matrix = np.array(every.column("clip_row").to_pylist(), np.float32)
    best = matrix.max(1)
    threshold = float(np.sort(best)[:2].mean())
    rule = Rule("unrelated", "image", f"clip_similarity >= {threshold!r}", "test", stage="assemble")
    recipe = _recipe(matrix=True).model_copy(update={"rules": (rule,)})
    found, _ = compare(*shard, tiny, recipe, mode="archive")
    left = np.flatnonzero(best >= threshold)
    spans = found.column("matched_span").to_pylist()
    assert [spans[row] for row in left] == assign(matrix[left]).tolist()
    assert [row for row, span in enumerate(spans) if span is None] == [int(best.argmin())]


def test_a_rank_is_among_texts_of_other_documents_of_the_language(tiny: ClipModel):
    pages = [([f"Text {number} of a page."], 1) for number in range(9)]
    found, _ = compare(*_shard(pages, tiny.width), tiny, _recipe(negatives=8), mode="archive")
    ranks = found.column("clip_rank").to_pylist()
    assert all(rank is not None and 1 <= rank <= 9 for rank in ranks)
    assert len(set(ranks)) > 1
    few, _ = compare(*_shard(pages, tiny.width), tiny, _recipe(negatives=9), mode="archive")
    assert few.column("clip_rank").null_count == 9


def test_a_document_without_text_keeps_its_pictures_unmatched(tiny: ClipModel):
    found, spans = compare(*_shard([([], 2)], tiny.width), tiny, _recipe(), mode="archive")
    assert found.column("clip_similarity").null_count == 2
    assert found.column("matched_span").null_count == 2
    assert spans.column("clip_spans").to_pylist() == [[]]


RULES = {
    "clip_similarity >= {}": ("clip_similarity", np.greater_equal),  # MMC4: 0.15
    "matched_sim >= {}": ("matched_sim", np.greater_equal),  # LCL: 0.24
    "clip_near >= {}": ("clip_near", np.greater_equal),
    "clip_rank <= {}": ("clip_rank", np.less_equal),  # mOSCAR: 8 of 64
    "clip_text_image <= {}": ("clip_text_image", np.less_equal),
    "clip_logo <= {}": ("clip_logo", np.less_equal),
    "clip_nsfw <= {}": ("clip_nsfw", np.less_equal),
}


def _recipe_with(rule: str, scope: str, folder: Path, clip: str = "") -> Recipe:
    path = folder / "rule.toml"
    path.write_text(
        'name = "one"\ndescription = "One rule."\nextends = "annotate"\n'
        f'[clip]\nmodel = "ViT-B-32"\nnegatives = 8\n{clip}\n'
        f'[[rule]]\nname = "said"\nscope = "{scope}"\nkeep = "{rule}"\nsource = "test"\n'
    )
    return load_recipe(str(path))


def _with_prompts(features: pa.RecordBatch) -> pa.RecordBatch:
    rng = np.random.default_rng(2)
    for name in ("clip_text_image", "clip_logo", "clip_nsfw"):
        place = features.schema.get_field_index(name)
        features = features.set_column(place, name, pa.array(rng.random(features.num_rows), pa.float32()))
    return features.cast(PLACED_FEATURE)


@pytest.fixture(scope="module")
def nine(tiny: ClipModel) -> tuple[pa.RecordBatch, ...]:
    """Nine documents of a few sentences and three pictures each."""
    pages = [([f"A star number {number}. Rings on page {number}. The end."], 3) for number in range(9)]
    documents, images, features = _shard(pages, tiny.width, seed=3)
    pictures = {"width": 300, "height": 300, "pack": "p", "pack_offset": 0}
    for name, value in pictures.items():
        place = images.schema.get_field_index(name)
        images = images.set_column(place, name, pa.array([value] * images.num_rows, images.schema.types[place]))
    return documents, images, _with_prompts(features)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_on_a_score_drops_what_the_score_says(
    rule: str, tiny: ClipModel, nine: tuple[pa.RecordBatch, ...], tmp_path: Path
):
    documents = nine[0]
    name, holds = RULES[rule]
    found, _ = compare(*nine, tiny, _recipe_with("images >= 1", "document", tmp_path), mode="archive")
    values = np.array(found.column(name).to_pylist(), np.float64)
    threshold = float(np.median(values))
    recipe = _recipe_with(rule.format(repr(threshold)), "image", tmp_path)
    again, spans = compare(*nine, tiny, recipe, mode="archive")
    done = assemble(documents, again, recipe, mode="archive", spans=spans)
    kept = {info["image_id"] for row in done.rows.to_pylist() for info in row["image_info"] if info}
    wanted = {
        one for one, good in zip(found.column("image_id").to_pylist(), holds(values, threshold), strict=True) if good
    }
    assert 0 < len(wanted) < 27
    assert kept == wanted
    assert done.books.dropped["image"]["said"] == 27 - len(wanted)


def test_a_document_is_kept_or_dropped_by_its_pictures(
    tiny: ClipModel, nine: tuple[pa.RecordBatch, ...], tmp_path: Path
):
    documents = nine[0]
    found, spans = compare(*nine, tiny, _recipe_with("images >= 1", "document", tmp_path), mode="archive")
    sims = np.array(found.column("matched_sim").to_pylist()).reshape(9, 3)
    related = float(np.median(sims))
    share, mean = (sims > related).mean(1), sims.mean(1)
    for rule, wanted in (
        ("matched_share >= 0.5", share >= 0.5),  # MMC4-core: 0.75 of them over 0.25
        (f"mean_matched_sim >= {float(np.median(mean))!r}", mean >= np.median(mean)),
    ):
        recipe = _recipe_with(rule, "document", tmp_path, clip=f"related = {related!r}")
        done = assemble(documents, found, recipe, mode="archive", spans=spans)
        left = [row["doc_id"] for row in done.rows.to_pylist()]
        assert 0 < len(left) < 9
        assert left == [number.to_bytes(16, "big") for number in np.flatnonzero(wanted).tolist()]
