"""Units over packs of pictures: each step over a pack reads what the step before said of it."""

from __future__ import annotations

from collections.abc import Sequence

from plait.jobs.work import Json, Unit
from plait.schemas.receipts import Output, Receipt


def after(packs: Sequence[Unit], scored: Sequence[Receipt]) -> list[Unit]:
    """Units of the next step over packs, from the scores of the step before; empty packs have none."""
    units = []
    for pack, receipt in zip(packs, scored, strict=True):
        for output in receipt.tables("scores"):
            payload: dict[str, Json] = {"pack": pack.payload["pack"], "scores": output.path}
            units.append(Unit((pack.inputs[0], output.sha256), pack.label, payload))
    return units


def packs_of(receipts: Sequence[Receipt]) -> list[Unit]:
    """The units that score the packs of units that wrote one each, or none."""
    return [
        pack_unit(done, done.tables("pack")[0], done.tables("index")[0]) for done in receipts if done.tables("index")
    ]


def pack_unit(receipt: Receipt, pack: Output, index: Output, *, spent: str | None = None) -> Unit:
    """The unit that scores a pack; what was spent to make it is removed then."""
    payload: dict[str, Json] = {"pack": pack.path, "index": index.path, "spent": spent}
    return Unit((pack.sha256, index.sha256), receipt.label, payload)
