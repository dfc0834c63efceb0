"""One key that a million documents share: a stream through one task, in bounded memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plait.dedup.documents import NEW
from plait.dedup.keys import KEYS
from plait.jobs.local import LocalEngine
from plait.jobs.store import Store
from plait.jobs.units.dedup import KEYED, LATEST
from plait.jobs.work import Shuffle, Source, Stage
from plait.schemas.receipts import Output

DOCUMENTS = 1_000_000
FILES = 8
PEAK_BYTES = 1 << 30


def _keys(first: int, count: int) -> pa.Table:
    """Captures of one text at other places and times: the last document is the latest."""
    numbers = np.arange(first, first + count)
    ids = pa.Array.from_buffers(
        pa.binary(16), count, [None, pa.py_buffer(np.repeat(numbers, 2).astype(">i8").tobytes())]
    )
    columns = {
        "doc_id": ids.cast(pa.binary()),
        "id": pa.array(numbers),
        "order_key": pa.array(numbers),
        "captured": pa.array(numbers).cast(KEYS.field("captured").type),
        "archive_key": pa.array(numbers % 7),
        "url_key": pa.array(numbers),
        "text_key": pa.array(np.full(count, 42)),
        "image_set_key": pa.array(numbers),
        "bands": pa.array([[]] * count, pa.list_(pa.int64())),
        "images": pa.array(np.full(count, 1, np.int32)),
        "chars": pa.array(np.full(count, 1000)),
    }
    arrays = [columns.get(field.name, pa.nulls(count, field.type)) for field in KEYS]
    return pa.Table.from_arrays(arrays, schema=KEYS)


@pytest.mark.slow
def test_a_key_of_a_million_documents_is_one_stream(tmp_path: Path) -> None:
    store, outputs = Store(str(tmp_path)), []
    share = DOCUMENTS // FILES
    for number in range(FILES):
        name = f"keys-{number}.parquet"
        pq.write_table(_keys(number * share, share), tmp_path / name)
        outputs.append(Output("keys", name, share, (tmp_path / name).stat().st_size, name))
    stage = Stage("dedup_text", "plait.jobs.units.dedup:keep_by", {"key": "text_key", "reason": "duplicate_text"})
    engine = LocalEngine(store, 1)
    try:
        done = engine.shuffle(
            Shuffle(stage, (Source(tuple(outputs), NEW),), KEYED, ("text_key", "side", *LATEST)), lambda receipt: None
        )
    finally:
        engine.close()
    books = [receipt.books for receipt in done]
    assert sum(book.documents_in for book in books) == DOCUMENTS
    assert sum(book.dropped.get("document", {}).get("duplicate_text", 0) for book in books) == DOCUMENTS - 1
    assert all(book.balanced() for book in books)
    kept = [
        row for receipt in done for file in receipt.tables("keys") for row in pq.read_table(tmp_path / file.path)["id"]
    ]
    assert [row.as_py() for row in kept] == [DOCUMENTS - 1]
    assert max(receipt.cost.peak_rss for receipt in done) < PEAK_BYTES, done[0].cost
