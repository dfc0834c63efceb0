"""CLIP's order: pictures before the texts they were matched with, images and tokens in the same order."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plait.loader import Corpus, ImageTokens, Order, PackRecipe, Resize, SampleRecipe, SequenceRecipe, Source
from plait.loader.packing import packs
from plait.loader.samples import samples
from plait.pipeline.publish import write_corpus
from plait.schemas.manifest import Manifest

RECIPE = SampleRecipe(view="clip", pixels=None)


@pytest.fixture(scope="module")
def matched(make_corpus, tmp_path_factory):
    """Three pictures a document, matched with its texts from the last to the first; the middle one with none."""
    whole = make_corpus(30, 1, 10, salt="clip", images=3)
    path = whole / "data/shard-00000.parquet"
    rows = pq.read_table(path).to_pylist()
    for row in rows:
        with_bytes = [info for info, image in zip(row["image_info"], row["images"], strict=True) if image]
        for info, text in zip(with_bytes, (3, None, 0), strict=True):
            info["matched_text_index"] = text
    folder = tmp_path_factory.mktemp("matched") / "corpus"
    batch = pa.RecordBatch.from_pylist(rows, schema=pq.read_schema(path))
    write_corpus(folder, batch.schema, [[batch]], Manifest.from_json((whole / "manifest.json").read_text()))
    return Corpus(folder)


def test_pictures_stand_before_the_texts_they_were_matched_with(matched):
    order = Order((Source(matched),), window=10)
    wanted = {}
    for document in matched:
        texts, images = document.texts, [picture.data for picture in document.images if picture.data]
        wanted[document.doc_id] = (bytes(images[2]), *texts[:3], bytes(images[0]), texts[3])
    found = list(samples(order, RECIPE, ((window, 0) for window in range(order.windows))))
    assert {sample.doc_id: sample.nodes for sample in found} == wanted
    first = next(samples(order, replace(RECIPE, max_images=1), iter([(0, 0)])))
    assert [type(node) for node in first.nodes] == [bytes, str, str, str, str]


def test_packs_keep_images_in_the_order_of_their_tokens(matched):
    order = Order((Source(matched),), window=10)
    recipe = replace(RECIPE, pixels=Resize(8))
    sequence = SequenceRecipe(ImageTokens(1), separator="")
    pack = PackRecipe(lambda text: [len(text) + 10], "lengths", sequence, max_tokens=6, together=False)
    made = list(packs(order, recipe, pack, iter([(0, 0)])))
    documents = {document.doc_id: document for document in matched}
    for one in made:
        pictures = [picture for picture in documents[one.doc_ids[0]].images if picture.data]
        wanted = [Resize(8).apply(pictures[place].data)[0] for place in (2, 0)]
        assert one.image_positions.tolist() == [0, 4]
        assert all((image == right).all() for image, right in zip(one.images, wanted, strict=True))
