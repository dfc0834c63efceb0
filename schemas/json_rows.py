"""Rows of a shard as JSON values, and back: what WebDataset members hold and what the fingerprint hashes.

Bytes become hex, times ISO 8601 in UTC with microseconds, a float that is no number the string "NaN", "Infinity" or
"-Infinity" (JSON has no word for it). The schema says what a value was, so the way back loses nothing.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TypeAlias, cast

import pyarrow as pa

from plait.schemas.errors import CorpusError
from plait.schemas.manifest import Json

Cell: TypeAlias = "bool | int | float | str | bytes | datetime | list[Cell] | dict[str, Cell] | None"
"""A value as `pyarrow`'s ``to_pylist`` gives it."""


def to_json_value(value: Cell) -> Json:
    """A cell as JSON.

    Raises:
        CorpusError: the value has no JSON form.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else _not_finite(value)
        case bytes():
            return value.hex()
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case list():
            return [to_json_value(item) for item in value]
        case dict():
            return {name: to_json_value(item) for name, item in value.items()}
        case _:
            raise CorpusError(f"a {type(value).__name__} has no place in a shard")


def from_json_value(value: Json, kind: pa.DataType) -> Cell:
    """The cell of an Arrow type that `to_json_value` made a JSON value of."""
    if value is None:
        return None
    if pa.types.is_list(kind):
        return [from_json_value(item, kind.value_type) for item in cast("list[Json]", value)]
    if pa.types.is_struct(kind):
        fields = cast("dict[str, Json]", value)
        return {field.name: from_json_value(fields.get(field.name), field.type) for field in kind}
    if pa.types.is_binary(kind):
        return bytes.fromhex(cast(str, value))
    if pa.types.is_timestamp(kind):
        return datetime.fromisoformat(cast(str, value))
    if pa.types.is_floating(kind):
        return float(cast("str | float", value))
    return cast("str | int", value)


def as_bytes(value: Cell) -> bytes:
    """A cell that must hold bytes.

    Raises:
        CorpusError: it holds something else.
    """
    if not isinstance(value, bytes):
        raise CorpusError(f"expected bytes in a row, found {type(value).__name__}")
    return value


def as_list(value: Cell) -> list[Cell]:
    """A cell that must hold a list.

    Raises:
        CorpusError: it holds something else.
    """
    if not isinstance(value, list):
        raise CorpusError(f"expected a list in a row, found {type(value).__name__}")
    return value


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
