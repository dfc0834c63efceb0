"""Pages through the text kernel into sorted runs of documents and their keys."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from plait.dedup.keys import KEYS, document_keys
from plait.jobs.context import Context
from plait.jobs.evaluation import evaluation_of
from plait.jobs.settings import load_recipe_param
from plait.jobs.units.dedup import minhash_config
from plait.pipeline.text import apply_text, score_types
from plait.schemas.documents import document_schema

RUN_BYTES = 64 << 20  # of documents that are sorted at once
KEY_ROWS = 4096


class TextRuns:
    """The text stage of a unit: rules, books and ledger; "documents" and "keys" in sorted runs.

    With the setting ``retain`` = "all", every page is kept as it came ("pages") and every dropped document as the rules
    left it ("dropped_documents").
    """

    def __init__(self, ctx: Context):
        self._ctx = ctx
        self._recipe = load_recipe_param(ctx)
        self._schema = document_schema(score_types(self._recipe))
        self._config = minhash_config(ctx)
        self._evaluation = evaluation_of(ctx)
        self._retain_all = ctx.params["retain"] == "all"
        self._run: list[pa.RecordBatch] = []
        self._run_bytes = 0

    def score(self, batch: pa.RecordBatch, known: Mapping[str, pa.Array] | None = None) -> None:
        """A batch of pages, with what is known of them from an earlier time (see `apply_text`)."""
        ctx, result = self._ctx, apply_text(batch, self._recipe, self._evaluation, known)
        ctx.count(documents_in=batch.num_rows, documents_out=result.kept.num_rows)
        ctx.count(images_in=_images(batch), images_out=_images(result.kept))
        ctx.drop(result.dropped)
        ctx.drop_counts("image", result.image_node_counts)
        ctx.removed(result.node_counts)
        ctx.alone(result.alone)
        ctx.sample(result.node_samples)
        if self._retain_all:
            for name, rows in (("pages", result.pages), ("dropped_documents", result.dropped_documents)):
                with ctx.table(name, rows.schema) as table:
                    table.write(rows)
        self._run.append(result.kept)
        self._run_bytes += result.kept.nbytes
        if self._run_bytes >= RUN_BYTES:
            self._flush()

    def _flush(self) -> None:
        """A sorted run of documents, and their keys."""
        table = pa.Table.from_batches(self._run, schema=self._schema).sort_by(
            [("order_key", "ascending"), ("doc_id", "ascending"), ("offset", "ascending")]
        )
        self._run, self._run_bytes = [], 0
        if not table.num_rows:
            return
        batches = table.combine_chunks().to_batches(max_chunksize=KEY_ROWS)
        with self._ctx.table("documents", self._schema) as documents, self._ctx.table("keys", KEYS) as keys:
            for batch in batches:
                documents.write(batch)
                rows = document_keys(batch, self._config)
                # A document without text is like no other: its text key is its own id.
                place = rows.schema.get_field_index("text_key")
                own = pc.coalesce(rows.column("text_key"), rows.column("id"))
                keys.write(rows.set_column(place, "text_key", own))

    def close(self) -> None:
        """Write what is left."""
        self._flush()


def _images(batch: pa.RecordBatch) -> int:
    return int(pc.sum(pc.equal(batch.column("nodes").flatten().field("kind"), "image")).as_py() or 0)
