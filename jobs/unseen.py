"""Pictures that were never looked for: a refilter that would need them is refused."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.parquet as pq

from plait.jobs.store import Store
from plait.schemas.errors import ConfigError
from plait.schemas.receipts import Output

NOT_RETAINED = "not_retained"
"""Reason of an image that was never looked for, because its document had been dropped before; never published."""


def refuse_unseen(store: Store, missing: Sequence[Output]) -> None:
    """Raises ConfigError where pictures were never looked for, since their documents had been dropped."""
    found: set[bytes] = set()
    for output in missing:
        with store.open_read(output.path) as file:
            table = pq.read_table(file, columns=["doc_id"], filters=[("reason", "=", NOT_RETAINED)])
        found.update(table.column("doc_id").to_pylist())
    if found:
        raise ConfigError(
            f"the recipe brings {len(found):,} documents back whose pictures were not retained: give the archives with "
            "--archives, or make the recipe stricter"
        )
