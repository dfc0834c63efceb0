"""The manifest: the root of a corpus on disk, small whatever the corpus' size.

It holds totals and points to Parquet lists; nothing in it grows with documents, images or shards.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias, cast

import pyarrow as pa

from plait.schemas.errors import CorpusError

MANIFEST_VERSION: Final = 1
MANIFEST_NAME: Final = "manifest.json"

Scalar: TypeAlias = str | int | float | bool | None
Json: TypeAlias = "Scalar | list[Json] | dict[str, Json]"

SHARD_LIST = pa.schema(
    [
        pa.field("shard", pa.int32(), nullable=False),  # number of the shard, in global order
        pa.field("format", pa.string(), nullable=False),  # "parquet" or "webdataset"
        pa.field("path", pa.string(), nullable=False),  # relative to the corpus
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("images", pa.int64(), nullable=False),  # with bytes in the shard
        pa.field("bytes", pa.int64(), nullable=False),  # of the file
        pa.field("sha256", pa.string(), nullable=False),  # of the file, hex
        pa.field("min_order_key", pa.int64()),  # null where the shard has no rows
        pa.field("max_order_key", pa.int64()),
        pa.field("row_group_rows", pa.list_(pa.int32())),  # Parquet: rows of each row group
    ]
)
"""`ledger/shards.parquet`: one row a shard file, sorted by (format, shard)."""

INPUT_LIST = pa.schema(
    [
        pa.field("archive_id", pa.string(), nullable=False),  # identity of the content
        pa.field("archive", pa.string(), nullable=False),  # name as documents have it
        pa.field("bytes", pa.int64()),
        pa.field("records", pa.int64()),
        pa.field("pages", pa.int64()),
        pa.field("images", pa.int64()),
    ]
)
"""`ledger/inputs.parquet`: one row an archive, sorted by archive_id."""


@dataclass(frozen=True)
class RuleRecord:
    """One rule of the recipe, for readers."""

    name: str
    scope: str
    stage: str  # "text" or "assemble"
    keep: str  # the condition; of an edit, its name
    source: str


@dataclass(frozen=True)
class RecipeRecord:
    """The recipe as it was used: enough to run it again."""

    name: str
    text: str  # JSON of the checked recipe, what it extends folded in
    digest: str  # SHA-256 of the text, hex
    description: str = ""
    rules: tuple[RuleRecord, ...] = ()
    missing: tuple[str, ...] = ()  # what rules required and the build ran without: the recipe is partial

    @property
    def partial(self) -> bool:
        """Whether some rules of the recipe could not be applied."""
        return bool(self.missing)


@dataclass(frozen=True)
class StageBooks:
    """One line of the funnel: at every stage, entered = left + the sum of dropped."""

    stage: str
    scope: str  # "record", "document" or "image"
    entered: int
    left: int
    dropped: dict[str, int] = field(default_factory=dict)  # reason -> count
    alone: dict[str, int] = field(default_factory=dict)  # rule on documents -> how many it alone would have dropped

    @property
    def balanced(self) -> bool:
        """Whether the books add up."""
        return self.entered == self.left + sum(self.dropped.values())


@dataclass(frozen=True)
class Totals:
    """What the corpus holds."""

    documents: int = 0
    images: int = 0  # occurrences with bytes in the shards
    image_urls: int = 0  # occurrences kept as URLs alone
    texts: int = 0  # text nodes
    text_chars: int = 0
    image_bytes: int = 0
    shard_bytes: int = 0  # of the reference format's files
    languages: dict[str, int] = field(default_factory=dict)  # language -> documents
    licences: dict[str, int] = field(default_factory=dict)  # the 100 most frequent -> documents


@dataclass(frozen=True)
class Lists:
    """Paths, relative to the corpus, of the Parquet lists and ledgers."""

    shards: str = "ledger/shards.parquet"
    inputs: str = "ledger/inputs.parquet"
    drops: str = "ledger/drops"  # folder of Parquet files with schemas.ledger.DROP
    node_samples: str = "ledger/nodes"  # folder of Parquet files with schemas.ledger.NODE_SAMPLE


@dataclass(frozen=True)
class Receipts:
    """The receipts that the corpus stands on."""

    count: int = 0
    digest: str = ""  # SHA-256 over the receipts' digests in order of their names, hex


@dataclass(frozen=True)
class Manifest:
    """Root of a corpus."""

    plait_version: str
    recipe: RecipeRecord
    fingerprint: str  # pipeline.fingerprint: one hash of the logical rows
    totals: Totals
    scores: dict[str, str] = field(default_factory=dict)  # score columns of the shards -> Arrow type
    funnel: tuple[StageBooks, ...] = ()
    options: dict[str, Scalar] = field(default_factory=dict)  # the build's options that decide what the corpus is
    cost: dict[str, Scalar] = field(default_factory=dict)  # seconds, CPU seconds, peak bytes: never hashed
    formats: tuple[str, ...] = ("parquet",)
    shards: int = 0
    lists: Lists = field(default_factory=Lists)
    receipts: Receipts = field(default_factory=Receipts)
    generation: int = 0
    schema_version: int = MANIFEST_VERSION

    def to_json(self) -> str:
        """The manifest as JSON, keys sorted, the same text for the same manifest."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Reads what `to_json` wrote.

        Raises:
            CorpusError: the text is no manifest, or one of a version that this plait does not know.
        """
        try:
            raw = json.loads(text)
        except json.JSONDecodeError as error:
            raise CorpusError(f"the manifest is not JSON: {error}") from error
        if not isinstance(raw, dict) or "schema_version" not in raw:
            raise CorpusError("the manifest has no schema_version: this is not a plait corpus")
        if raw["schema_version"] != MANIFEST_VERSION:
            raise CorpusError(
                f"the manifest has schema version {raw['schema_version']}, this plait reads {MANIFEST_VERSION}: "
                "read it with the plait that wrote it, or a newer one"
            )
        try:
            return _manifest(raw)
        except (KeyError, TypeError, ValueError) as error:
            raise CorpusError(f"the manifest is damaged: {error!r}") from error


def _manifest(raw: Mapping[str, Json]) -> Manifest:
    """A manifest from its parsed JSON; KeyError, TypeError where it is damaged."""
    values = dict(raw)
    recipe = dict(_mapping(values.pop("recipe")))
    recipe["missing"] = cast(Json, tuple(_sequence(recipe["missing"])))
    rules = tuple(RuleRecord(**_mapping(rule)) for rule in _sequence(recipe.pop("rules")))  # type: ignore[arg-type]
    funnel = tuple(StageBooks(**cast("dict[str, object]", _mapping(line))) for line in _sequence(values.pop("funnel")))  # type: ignore[arg-type]
    return Manifest(
        recipe=RecipeRecord(**recipe, rules=rules),  # type: ignore[arg-type]
        totals=Totals(**_mapping(values.pop("totals"))),  # type: ignore[arg-type]
        lists=Lists(**_mapping(values.pop("lists"))),  # type: ignore[arg-type]
        receipts=Receipts(**_mapping(values.pop("receipts"))),  # type: ignore[arg-type]
        formats=tuple(str(name) for name in _sequence(values.pop("formats"))),
        funnel=funnel,
        **values,  # type: ignore[arg-type]
    )


def _mapping(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, found {type(value).__name__}")
    return value


def _sequence(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, found {type(value).__name__}")
    return value
