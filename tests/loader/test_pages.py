"""Pictures read from the mapped file are those that Parquet's reader gives, however the file is laid out."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.loader.pages import picture_spans
from plait.pipeline.parquet_shard import write_batches
from plait.schemas.errors import CorpusError
from plait.schemas.shards import shard_schema

SCHEMA = shard_schema({})


def rows(sizes: list[list[int | None]]) -> pa.RecordBatch:
    """Documents with pictures of these sizes; None is a text."""
    rng = np.random.default_rng(1)
    made = []
    for number, slots in enumerate(sizes):
        cells = [None if size is None else {"bytes": rng.bytes(size), "path": f"{number}.jpg"} for size in slots]
        texts = ["text" if size is None else None for size in slots]
        made.append(
            {"doc_id": bytes(16), "order_key": number, "url": "u", "images": cells, "texts": texts, "image_info": []}
        )
    return pa.RecordBatch.from_pylist(made, schema=SCHEMA)


def stored(batches: list[pa.RecordBatch]) -> bytes:
    file = io.BytesIO()
    write_batches(batches, SCHEMA, file)
    return file.getvalue()


def spanned(data: bytes, verify: bool = True) -> list[list[bytes]] | None:
    metadata = pq.read_metadata(io.BytesIO(data))
    found = [
        picture_spans(memoryview(data), metadata.row_group(n), verify=verify) for n in range(metadata.num_row_groups)
    ]
    return [[data[start:stop] for start, stop in spans] for spans in found]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.one_of(st.none(), st.integers(0, 3000)), max_size=6), min_size=1, max_size=30))
def test_every_picture_is_found_in_order(sizes):
    batch = rows(sizes)
    wanted = [cell["bytes"] for row in batch.to_pylist() for cell in row["images"] if cell]
    assert spanned(stored([batch])) == [wanted]


def test_pictures_over_many_pages_and_row_groups():
    batches = [rows([[400_000, None, 700_000], [None], [3_000_000, 5]]), rows([[None]]), rows([[9] * 300])]
    wanted = [[cell["bytes"] for row in batch.to_pylist() for cell in row["images"] if cell] for batch in batches]
    assert spanned(stored(batches)) == wanted


@pytest.mark.parametrize("options", [{"compression": "zstd"}, {"use_dictionary": True}, {"data_page_version": "2.0"}])
def test_files_of_other_writers_are_left_to_parquet(options):
    batch = rows([[100, None], [200]])
    file = io.BytesIO()
    pq.write_table(pa.Table.from_batches([batch]), file, **{"compression": "none", "use_dictionary": False, **options})
    metadata = pq.read_metadata(io.BytesIO(file.getvalue()))
    assert picture_spans(memoryview(file.getvalue()), metadata.row_group(0), verify=True) is None


def test_flipped_bit_and_cut_file_are_errors():
    batch = rows([[5000, None], [6000]])
    data = bytearray(stored([batch]))
    metadata = pq.read_metadata(io.BytesIO(bytes(data)))
    spans = picture_spans(memoryview(data), metadata.row_group(0), verify=True)
    data[spans[1][0] + 7] ^= 1
    with pytest.raises(CorpusError, match="checksum"):
        picture_spans(memoryview(data), metadata.row_group(0), verify=True)
    assert picture_spans(memoryview(data), metadata.row_group(0), verify=False) == spans
    with pytest.raises(CorpusError, match="cut off"):
        picture_spans(memoryview(data)[: spans[1][0]], metadata.row_group(0), verify=False)


def test_file_without_pictures_has_no_spans():
    assert spanned(stored([rows([[None], [None, None]])])) == [[]]
