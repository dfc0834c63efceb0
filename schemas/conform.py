"""The one gate at every boundary: columns by name, cast, no dictionaries."""

from __future__ import annotations

import pyarrow as pa

from plait.schemas.errors import UnitError


def _decoded(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column if column.type == kind else column.cast(kind)


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with exactly the schema's columns, in its order and of its types.

    Spark matches columns by position and Ray has no output schema, so every kernel's output passes here. Extra columns
    are left out; a missing column, or a null where the schema has none, raises `UnitError`: it is a fault of ours.
    """
    if batch.schema.equals(schema):
        return batch
    columns = []
    for field in schema:
        place = batch.schema.get_field_index(field.name)
        if place < 0:
            raise UnitError(f"a kernel's output lacks the column {field.name!r} (it has {batch.schema.names})")
        column = _decoded(batch.column(place), field.type)
        if not field.nullable and column.null_count:
            raise UnitError(f"column {field.name!r} has {column.null_count} nulls and may have none")
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=schema)
