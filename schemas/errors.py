"""Errors are policy: the class of an error says what happens next."""

from __future__ import annotations


class PlaitError(Exception):
    """Base of every error that plait raises on purpose."""


class ConfigError(PlaitError):
    """The user's input is wrong: stop at once, say what to do, exit 2, touch nothing."""


class UnitError(PlaitError):
    """A unit of work failed in a way that may pass (a store, a lost worker): retry the unit."""


class CorpusError(PlaitError):
    """A corpus on disk is not what its manifest says: exit 1."""


class RecordError(PlaitError):
    """One record is bad: drop it, write it to the ledger, go on.

    Attributes:
        reason: code from `plait.schemas.reasons`, the record's verdict.
        value: what was measured, where a number decided.
        threshold: the limit that it met.
    """

    def __init__(self, reason: str, detail: str = "", *, value: float | None = None, threshold: float | None = None):
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.value = value
        self.threshold = threshold

    def __reduce__(self) -> tuple[object, ...]:
        """Keep keyword arguments across processes."""
        return _record_error, (self.reason, self.detail, self.value, self.threshold)


def _record_error(reason: str, detail: str, value: float | None, threshold: float | None) -> RecordError:
    return RecordError(reason, detail, value=value, threshold=threshold)
