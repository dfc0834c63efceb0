"""Verdicts over a batch: the first thing that speaks against a row is its reason, and it stays."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bools: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]


class Verdicts:
    """What was dropped of ``rows`` rows, why, and by what value.

    Attributes:
        kept: which rows nothing has spoken against yet.
    """

    def __init__(self, rows: int) -> None:
        self.kept: Bools = np.ones(rows, dtype=bool)
        self._reason = np.zeros(rows, dtype=np.int32)  # 0: kept; else place in _reasons
        self._reasons: list[str] = [""]
        self._thresholds: list[str | None] = [None]
        self._value: Floats = np.full(rows, np.nan)
        self._detail: dict[int, str] = {}

    def drop(
        self, where: Bools, reason: str, value: Floats | None = None, threshold: str | None = None
    ) -> npt.NDArray[np.int64]:
        """Drops the rows of a mask that are still kept; returns their places."""
        fresh = np.flatnonzero(where & self.kept)
        if len(fresh):
            self._reason[fresh] = len(self._reasons)
            self._reasons.append(reason)
            self._thresholds.append(threshold)
            if value is not None:
                self._value[fresh] = value[fresh]
            self.kept[fresh] = False
        return fresh

    def note(self, place: int, detail: str) -> None:
        """Says more about a dropped row."""
        self._detail[place] = detail

    def dropped(self) -> npt.NDArray[np.int64]:
        """Places of the dropped rows, in order."""
        return np.flatnonzero(~self.kept)

    def counts(self) -> dict[str, int]:
        """Dropped rows by reason, reasons sorted."""
        totals: dict[str, int] = {}
        for code, count in enumerate(np.bincount(self._reason, minlength=len(self._reasons))):
            if code:
                totals[self._reasons[code]] = totals.get(self._reasons[code], 0) + int(count)
        return dict(sorted(totals.items()))

    def columns(self) -> dict[str, pa.Array]:
        """Reason, value, threshold and detail of the dropped rows, as the ledger has them."""
        places = self.dropped()
        codes = self._reason[places]
        value = self._value[places]
        return {
            "reason": pa.array([self._reasons[code] for code in codes], pa.string()),
            "value": pa.array(value, pa.float64(), mask=np.isnan(value)),
            "threshold": pa.array([self._thresholds[code] for code in codes], pa.string()),
            "detail": pa.array([self._detail.get(int(place)) for place in places], pa.string()),
        }
